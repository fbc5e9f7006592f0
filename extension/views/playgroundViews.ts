import * as vscode from 'vscode';
import * as z from 'zod';
import { playgroundTargetSchema, type PlaygroundTarget } from '../../engine/protocol/playground';
import type { Services } from '../commands/services';
import { localize } from '../common/localize';
import { disposeAll, type Subscription } from '../common/subscription';
import { fileName } from '../config/resultText';
import { PlaygroundPanel } from './playgroundPanel';

export const playgroundPanelType = 'moeTuner.playgroundPanel';

/** The part of the page's own state that says what it is about. */
const savedSchema = z.looseObject({ target: playgroundTargetSchema });

/** The playground as an editor tab that survives a reload of the window; one tab shows one checkpoint and plan after the other. */
export class PlaygroundViews implements vscode.WebviewPanelSerializer, vscode.Disposable {
  private readonly subscriptions: readonly Subscription[];
  private open: PlaygroundPanel | undefined;

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly services: Services,
  ) {
    this.subscriptions = [vscode.window.registerWebviewPanelSerializer(playgroundPanelType, this)];
  }

  deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const saved = savedSchema.safeParse(state);
    if (saved.success) {
      this.connect(panel, saved.data.target);
    } else {
      panel.dispose();
    }
    return Promise.resolve();
  }

  show(target: PlaygroundTarget): void {
    if (this.open !== undefined) {
      this.open.setTarget(target);
      this.open.panel.reveal();
      return;
    }
    const folder = vscode.Uri.joinPath(this.extensionUri, 'dist', 'webviews');
    const options = { enableScripts: true, localResourceRoots: [folder] };
    const title = localize('MoE Tuner Playground');
    this.connect(
      vscode.window.createWebviewPanel(playgroundPanelType, title, vscode.ViewColumn.Active, options),
      target,
    );
  }

  dispose(): void {
    disposeAll(this.subscriptions);
    this.open?.panel.dispose();
  }

  private connect(panel: vscode.WebviewPanel, target: PlaygroundTarget): void {
    panel.iconPath = {
      light: vscode.Uri.joinPath(this.extensionUri, 'media', 'icon-light.svg'),
      dark: vscode.Uri.joinPath(this.extensionUri, 'media', 'icon-dark.svg'),
    };
    if (this.services.store.get(target.folder) === undefined) {
      this.services.store.add({ folder: target.folder, label: fileName(target.folder) });
    }
    const opened = new PlaygroundPanel(panel, this.extensionUri, this.services, target);
    this.open = opened;
    panel.onDidDispose(() => {
      opened.dispose();
      if (this.open === opened) {
        this.open = undefined;
      }
    });
  }
}
