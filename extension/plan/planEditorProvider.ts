import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { dashboardHtml } from '../views/dashboardHtml';
import { PlanEditorSession, type PlanEditorBackend } from './planEditorSession';

/** Id of the visual editor; the manifest and `when` clauses use the same. */
export const planEditorType = 'moeTuner.planEditor';

/**
 * The visual editor of `*.moeplan.json`. The text stays the document, so undo, redo, dirty state, hot exit, comparing and source
 * control are VS Code's own; the page draws what the text says, and every gesture is one small edit of the text.
 */
export class PlanEditorProvider implements vscode.CustomTextEditorProvider, vscode.Disposable {
  private readonly registration: vscode.Disposable;
  private readonly open = new Set<PlanEditorSession>();

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly backend: PlanEditorBackend,
  ) {
    this.registration = vscode.window.registerCustomEditorProvider(planEditorType, this, {
      supportsMultipleEditorsPerDocument: true,
    });
  }

  /** The pages that are open now, in the order in which they were opened. */
  get sessions(): readonly PlanEditorSession[] {
    return [...this.open];
  }

  resolveCustomTextEditor(document: vscode.TextDocument, panel: vscode.WebviewPanel): void {
    const { webview } = panel;
    const session = new PlanEditorSession(document, webview, this.backend);
    this.open.add(session);
    panel.onDidDispose(() => {
      this.open.delete(session);
      session.dispose();
    });
    const folder = vscode.Uri.joinPath(this.extensionUri, 'dist', 'webviews');
    webview.options = { enableScripts: true, localResourceRoots: [folder] };
    const resource = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(folder, name)).toString();
    webview.html = dashboardHtml({
      scriptUri: resource('planEditor.js'),
      styleUri: resource('planEditor.css'),
      cspSource: webview.cspSource,
      nonce: randomBytes(16).toString('base64url'),
      language: vscode.env.language,
      title: localize('MoE Tuner plan'),
      translations: vscode.l10n.bundle,
    });
  }

  dispose(): void {
    this.registration.dispose();
  }
}
