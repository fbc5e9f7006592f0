import * as vscode from 'vscode';
import { toTunerError } from '../../engine/protocol/errors';
import { folderOf, genaiSelector, rangeOf } from '../common/documents';
import { readSetting } from '../common/settings';
import { disposeAll, type Subscription } from '../common/subscription';
import type { EngineSupervisor } from '../engine/supervisor';
import { genaiLenses, type OnnxModelState } from './genaiLenses';

/** Lenses on `genai_config.json` of ONNX models: what their MoE operators do, and the way to change it. */
export class GenaiLensProvider implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly changeEmitter = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changeEmitter.event;
  private readonly models = new Map<string, OnnxModelState>();
  private readonly subscriptions: readonly Subscription[];

  constructor(private readonly engine: Pick<EngineSupervisor, 'request'>) {
    const watcher = vscode.workspace.createFileSystemWatcher('**/{*.onnx,genai_config.json}');
    const changed = (uri: vscode.Uri): void => this.forget(folderOf(uri));
    this.subscriptions = [
      this.changeEmitter,
      watcher,
      watcher.onDidChange(changed),
      watcher.onDidCreate(changed),
      watcher.onDidDelete(changed),
      vscode.languages.registerCodeLensProvider(genaiSelector, this),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.changeEmitter.fire()),
    ];
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    if (!readSetting('moeTuner.codeLens.enabled', document.uri)) {
      return [];
    }
    const folder = folderOf(document.uri);
    if (folder !== undefined && vscode.workspace.isTrusted && !this.models.has(folder)) {
      void this.read(folder);
    }
    const situation = { trusted: vscode.workspace.isTrusted, onDisk: folder !== undefined };
    const state = folder === undefined ? undefined : this.models.get(folder);
    return genaiLenses(document.getText(), state, situation).map(
      ({ anchor, title, command }) =>
        new vscode.CodeLens(rangeOf(document, anchor.property), {
          title,
          command: command ?? '',
          arguments: folder === undefined ? [] : [folder],
        }),
    );
  }

  /** Reads a model again the next time someone looks at it. */
  forget(folder: string | undefined): void {
    if (folder !== undefined && this.models.delete(folder)) {
      this.changeEmitter.fire();
    }
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private async read(folder: string): Promise<void> {
    const reading: OnnxModelState = { kind: 'reading' };
    this.models.set(folder, reading);
    let state: OnnxModelState;
    try {
      state = { kind: 'ready', summary: await this.engine.request('inspect', { checkpoint: folder }) };
    } catch (error) {
      state = { kind: 'failed', error: toTunerError(error) };
    }
    // A change meanwhile has asked for another reading.
    if (this.models.get(folder) === reading) {
      this.models.set(folder, state);
    }
    this.changeEmitter.fire();
  }
}
