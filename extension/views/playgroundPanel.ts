import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { toTunerError } from '../../engine/protocol/errors';
import { protocolVersion } from '../../engine/protocol/messages';
import {
  playgroundMessageSchema,
  playgroundUpdateSchema,
  type PlaygroundMessage,
  type PlaygroundSettings,
  type PlaygroundTarget,
  type PlaygroundUpdate,
} from '../../engine/protocol/playground';
import { localize } from '../common/localize';
import { disposeAll, type Subscription } from '../common/subscription';
import { fileName } from '../config/resultText';
import type { Services } from '../commands/services';
import { pickPlan } from '../commands/pickPlan';
import { dashboardHtml } from './dashboardHtml';

/** Connects one playground page to the engine: settings in, tokens out while they are generated. */
export class PlaygroundPanel implements vscode.Disposable {
  private ready = false;
  /** Messages of the running generation, for a page that is loaded again meanwhile. */
  private running: PlaygroundUpdate[] | undefined;
  private readonly subscriptions: readonly Subscription[];

  constructor(
    readonly panel: vscode.WebviewPanel,
    extensionUri: vscode.Uri,
    private readonly services: Services,
    private target: PlaygroundTarget,
  ) {
    const { webview } = panel;
    this.subscriptions = [
      webview.onDidReceiveMessage((message: unknown) => void this.receive(message)),
      services.jobs.onDidChange(() => this.postTarget()),
      services.store.onDidChange(() => this.postTarget()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.postTarget()),
    ];
    const folder = vscode.Uri.joinPath(extensionUri, 'dist', 'webviews');
    webview.options = { enableScripts: true, localResourceRoots: [folder] };
    const resource = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(folder, name)).toString();
    webview.html = dashboardHtml({
      scriptUri: resource('playground.js'),
      styleUri: resource('playground.css'),
      cspSource: webview.cspSource,
      nonce: randomBytes(16).toString('base64url'),
      language: vscode.env.language,
      title: localize('MoE Tuner playground'),
      translations: vscode.l10n.bundle,
    });
  }

  /** Shows another checkpoint or plan; what is being generated goes on. */
  setTarget(target: PlaygroundTarget): void {
    this.target = target;
    this.postTarget();
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private postTarget(): void {
    const { folder, plan } = this.target;
    this.post({
      kind: 'target',
      target: this.target,
      checkpoint: this.services.store.get(folder)?.label ?? fileName(folder),
      ...(plan === undefined ? {} : { plan: fileName(plan) }),
      ...this.reason(),
    });
  }

  private reason(): { reason?: string } {
    const forward = this.services.store.get(this.target.folder)?.summary?.forward;
    if (!vscode.workspace.isTrusted) {
      return { reason: localize('Models run only in workspaces you trust.') };
    }
    if (forward?.supported === false) {
      return { reason: localize('This model cannot generate here: {reason}', { reason: forward.reason ?? '' }) };
    }
    const job = this.services.jobs.current;
    return job === undefined || this.running !== undefined
      ? {}
      : { reason: localize('"{title}" is still running; the engine does one job at a time.', { title: job.title }) };
  }

  private post(update: PlaygroundUpdate): void {
    // A page that is still loading asks with `ready`; what is posted to it before is lost.
    if (this.ready) {
      void this.panel.webview.postMessage(playgroundUpdateSchema.parse(update));
    }
  }

  private async receive(message: unknown): Promise<void> {
    const parsed = playgroundMessageSchema.safeParse(message);
    if (!parsed.success) {
      this.services.log.warn(`Malformed message from the playground: ${parsed.error.message}`);
      return;
    }
    try {
      await this.handle(parsed.data);
    } catch (error) {
      const { message: what, details } = toTunerError(error);
      this.services.log.error(`Playground ${parsed.data.kind}: ${what}`);
      this.post({
        kind: 'stopped',
        message: what,
        ...(details.wayOut === undefined ? {} : { wayOut: details.wayOut }),
      });
    }
  }

  private async handle(message: PlaygroundMessage): Promise<void> {
    switch (message.kind) {
      case 'ready':
        if (message.version !== protocolVersion) {
          this.services.log.error(`The playground's page has protocol ${message.version}, not ${protocolVersion}.`);
          return;
        }
        this.ready = true;
        this.postTarget();
        this.running?.forEach((update) => this.post(update));
        return;
      case 'generate':
        await this.generate(message.settings);
        return;
      case 'cancel':
        if (this.running !== undefined) {
          this.services.jobs.cancel();
        }
        return;
      case 'pickPlan': {
        const picked = await pickPlan(this.services, undefined);
        if (picked !== undefined) {
          this.setTarget({ folder: picked.checkpoint.folder, plan: picked.plan });
        }
        return;
      }
      case 'dropPlan':
        this.setTarget({ folder: this.target.folder });
    }
  }

  private async generate(settings: PlaygroundSettings): Promise<void> {
    if (this.running !== undefined) {
      return;
    }
    const { engine, jobs, provider } = this.services;
    const { folder, plan } = this.target;
    const tell = (update: PlaygroundUpdate): void => {
      this.running?.push(update);
      this.post(update);
    };
    this.running = [];
    tell({ kind: 'started', settings });
    const request = { ...settings, checkpoint: folder, ...(plan === undefined ? {} : { plan }) };
    const title = localize('Generating with {label}', { label: fileName(plan ?? folder) });
    try {
      const result = await jobs.run(
        title,
        ({ token, onProgress }) =>
          engine.request('generate', request, {
            token,
            onProgress: (fraction, message) => {
              onProgress(fraction, message);
              this.post({ kind: 'progress', fraction, message });
            },
            onGenerated: (step) => tell({ kind: 'step', step }),
          }),
        { keepsBest: true, again: () => this.generate(settings) },
      );
      this.running = undefined;
      if (result === undefined) {
        const { message, details } = jobs.lastError ?? {};
        this.post({ kind: 'stopped', ...(message && { message }), ...(details?.wayOut && { wayOut: details.wayOut }) });
        return;
      }
      provider.set(result.provider);
      this.post({ kind: 'finished', result });
    } finally {
      this.running = undefined;
      this.postTarget();
    }
  }
}
