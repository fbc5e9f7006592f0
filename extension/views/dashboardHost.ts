import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import {
  dashboardMessageSchema,
  dashboardSnapshotSchema,
  type DashboardAction,
  type DashboardSnapshot,
} from '../../engine/protocol/dashboard';
import type { ExportedSection } from '../../engine/protocol/exportedSection';
import { protocolVersion } from '../../engine/protocol/messages';
import type { CommandId } from '../common/commandIds';
import { debounce } from '../common/debounce';
import { localize } from '../common/localize';
import type { Log } from '../common/log';
import { dashboardHtml } from './dashboardHtml';
import { disposeAll, type Subscription } from '../common/subscription';

/** What the dashboard shows and what it can ask for. */
export interface DashboardBackend {
  readonly snapshot: () => DashboardSnapshot;
  /** Folder of the checkpoint that is shown. */
  readonly selectedFolder: () => string | undefined;
  readonly select: (folder: string) => void;
  readonly pickBudget: (folder: string, total: number) => Promise<void>;
  readonly openCheckpoint: () => Promise<void>;
  /** Saves what a section shows where the person wants it. */
  readonly exportSection: (section: ExportedSection) => Promise<void>;
  readonly onDidChange: (listener: () => void) => Subscription;
  readonly log: Log;
}

/** Progress comes faster than anyone can read; snapshots are complete, so skipping some loses nothing. */
const settleMilliseconds = 50;

const actionCommands: Readonly<Record<Exclude<DashboardAction, 'openCheckpoint'>, CommandId>> = {
  profile: 'moeTuner.profile',
  findBudgets: 'moeTuner.findBudgets',
  evaluate: 'moeTuner.evaluate',
  calibrate: 'moeTuner.calibrate',
  prune: 'moeTuner.prune',
  merge: 'moeTuner.merge',
  quantize: 'moeTuner.quantize',
  applyPlan: 'moeTuner.applyPlan',
  cancel: 'moeTuner.cancelJob',
  openConfig: 'moeTuner.openConfig',
  openSample: 'moeTuner.openSample',
  showLog: 'moeTuner.showLog',
};

/** Actions that get the folder of the shown checkpoint; applying asks for a plan, which names its own. */
const actionsOnCheckpoint: readonly DashboardAction[] = [
  'profile',
  'findBudgets',
  'evaluate',
  'calibrate',
  'prune',
  'merge',
  'quantize',
  'openConfig',
];

/** The folders a dashboard page may load from. */
export function dashboardRoots(extensionUri: vscode.Uri): vscode.Uri[] {
  return [vscode.Uri.joinPath(extensionUri, 'dist', 'webviews'), vscode.Uri.joinPath(extensionUri, 'media')];
}

/** Connects one webview, in the side panel or in an editor, to the extension: snapshots out, validated messages in. */
export class DashboardHost implements vscode.Disposable {
  private ready = false;
  private readonly post = debounce(() => this.postNow(), settleMilliseconds);
  private readonly subscriptions: readonly Subscription[];

  constructor(
    private readonly webview: vscode.Webview,
    extensionUri: vscode.Uri,
    private readonly backend: DashboardBackend,
  ) {
    this.subscriptions = [
      this.post,
      webview.onDidReceiveMessage((message: unknown) => void this.receive(message)),
      backend.onDidChange(() => this.post()),
    ];
    webview.options = { enableScripts: true, localResourceRoots: dashboardRoots(extensionUri) };
    const resource = (name: string): string =>
      webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, 'dist', 'webviews', name)).toString();
    webview.html = dashboardHtml({
      scriptUri: resource('dashboard.js'),
      styleUri: resource('dashboard.css'),
      cspSource: webview.cspSource,
      nonce: randomBytes(16).toString('base64url'),
      language: vscode.env.language,
      title: localize('MoE Tuner Dashboard'),
      translations: vscode.l10n.bundle,
    });
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private postNow(): void {
    // A page that is still loading asks with `ready`; what is posted to it before is lost.
    if (!this.ready) {
      return;
    }
    const snapshot = dashboardSnapshotSchema.safeParse(this.backend.snapshot());
    if (snapshot.success) {
      void this.webview.postMessage(snapshot.data);
    } else {
      this.backend.log.error(`The dashboard snapshot is malformed: ${snapshot.error.message}`);
    }
  }

  private async receive(message: unknown): Promise<void> {
    const parsed = dashboardMessageSchema.safeParse(message);
    if (!parsed.success) {
      this.backend.log.warn(`Malformed message from the dashboard: ${parsed.error.message}`);
      return;
    }
    try {
      await this.handle(parsed.data);
    } catch (error) {
      this.backend.log.error(`Dashboard ${parsed.data.kind}: ${String(error)}`);
    }
  }

  private async handle(message: ReturnType<typeof dashboardMessageSchema.parse>): Promise<void> {
    switch (message.kind) {
      case 'ready':
        if (message.version !== protocolVersion) {
          this.backend.log.error(`The dashboard page has protocol ${message.version}, not ${protocolVersion}.`);
          return;
        }
        this.ready = true;
        this.postNow();
        return;
      case 'select':
        this.backend.select(message.folder);
        return;
      case 'pickBudget': {
        const folder = this.backend.selectedFolder();
        if (folder !== undefined) {
          await this.backend.pickBudget(folder, message.total);
        }
        return;
      }
      case 'export':
        await this.backend.exportSection(message.section);
        return;
      case 'action':
        await this.act(message.action);
    }
  }

  private async act(action: DashboardAction): Promise<void> {
    if (action === 'openCheckpoint') {
      await this.backend.openCheckpoint();
      return;
    }
    const folder = actionsOnCheckpoint.includes(action) ? this.backend.selectedFolder() : undefined;
    await vscode.commands.executeCommand(actionCommands[action], ...(folder === undefined ? [] : [folder]));
  }
}
