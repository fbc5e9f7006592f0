import * as vscode from 'vscode';
import type { CommandId } from '../common/commandIds';
import { configSelector, folderOf, rangeOf } from '../common/documents';
import { localize } from '../common/localize';
import type { ConfigDecorations } from './configDecorations';

const linkedCommands: readonly CommandId[] = ['moeTuner.profile', 'moeTuner.openDashboard'];

function commandLink(title: string, command: CommandId, folder: string): string {
  return `[${title}](command:${command}?${encodeURIComponent(JSON.stringify([folder]))})`;
}

/** The tables behind the results at the ends of the lines of `config.json`. */
export class ConfigHoverProvider implements vscode.HoverProvider, vscode.Disposable {
  private readonly registration: vscode.Disposable;

  constructor(private readonly decorations: ConfigDecorations) {
    this.registration = vscode.languages.registerHoverProvider(configSelector, this);
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const result = this.decorations
      .resultsOf(document)
      .find(({ anchor }) => rangeOf(document, anchor.property).start.line === position.line);
    if (result === undefined) {
      return undefined;
    }
    const text = new vscode.MarkdownString(result.markdown);
    const folder = folderOf(document.uri);
    if (folder !== undefined) {
      const measure = commandLink(localize('Measure again'), 'moeTuner.profile', folder);
      const dashboard = commandLink(localize('Open dashboard'), 'moeTuner.openDashboard', folder);
      text.appendMarkdown(`\n\n${measure} · ${dashboard}`);
      text.isTrusted = { enabledCommands: linkedCommands };
    }
    return new vscode.Hover(text, document.lineAt(position.line).range);
  }

  dispose(): void {
    this.registration.dispose();
  }
}
