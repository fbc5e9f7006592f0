import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { DashboardHost, dashboardRoots, type DashboardBackend } from './dashboardHost';
import { disposeAll, type Subscription } from '../common/subscription';

export const dashboardViewId = 'moeTuner.dashboard';
export const dashboardPanelType = 'moeTuner.dashboardPanel';

/** The dashboard in its two places: the side panel and an editor tab that survives a reload of the window. */
export class DashboardViews implements vscode.WebviewViewProvider, vscode.WebviewPanelSerializer, vscode.Disposable {
  private readonly subscriptions: readonly Subscription[];
  private panel: vscode.WebviewPanel | undefined;

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly backend: DashboardBackend,
    private readonly onVisible: (visible: boolean) => void,
  ) {
    this.subscriptions = [
      vscode.window.registerWebviewViewProvider(dashboardViewId, this),
      vscode.window.registerWebviewPanelSerializer(dashboardPanelType, this),
    ];
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    const host = new DashboardHost(view.webview, this.extensionUri, this.backend);
    view.onDidChangeVisibility(() => this.onVisible(view.visible));
    view.onDidDispose(() => {
      host.dispose();
      this.onVisible(false);
    });
    this.onVisible(view.visible);
  }

  deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    this.connect(panel);
    return Promise.resolve();
  }

  /** Shows the dashboard in the side panel. */
  async reveal(): Promise<void> {
    await vscode.commands.executeCommand(`${dashboardViewId}.focus`);
  }

  /** Shows the dashboard in an editor tab, the one that is open where there is one. */
  openInEditor(): void {
    if (this.panel !== undefined) {
      this.panel.reveal();
      return;
    }
    const title = localize('MoE Tuner Dashboard');
    const localResourceRoots = dashboardRoots(this.extensionUri);
    const options = { enableScripts: true, localResourceRoots };
    this.connect(vscode.window.createWebviewPanel(dashboardPanelType, title, vscode.ViewColumn.Active, options));
  }

  dispose(): void {
    disposeAll(this.subscriptions);
    this.panel?.dispose();
  }

  private connect(panel: vscode.WebviewPanel): void {
    this.panel = panel;
    panel.iconPath = {
      light: vscode.Uri.joinPath(this.extensionUri, 'media', 'icon-light.svg'),
      dark: vscode.Uri.joinPath(this.extensionUri, 'media', 'icon-dark.svg'),
    };
    const host = new DashboardHost(panel.webview, this.extensionUri, this.backend);
    panel.onDidDispose(() => {
      host.dispose();
      if (this.panel === panel) {
        this.panel = undefined;
      }
    });
  }
}
