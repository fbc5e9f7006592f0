import * as vscode from 'vscode';
import { configSelector, folderOf, rangeOf } from '../common/documents';
import { readSetting } from '../common/settings';
import type { CheckpointStore } from './checkpointStore';
import { readConfigFacts } from './configFacts';
import { configLenses } from './configLenses';
import { disposeAll, type Subscription } from '../common/subscription';

/** Lenses on the lines of `config.json` that hold the active experts, the experts and the dtype. */
export class ConfigLensProvider implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly changeEmitter = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changeEmitter.event;
  /** The longest that anyone waited for lenses; undefined before the first. */
  slowestMilliseconds: number | undefined;
  private readonly subscriptions: readonly Subscription[];

  constructor(private readonly store: CheckpointStore) {
    this.subscriptions = [
      this.changeEmitter,
      vscode.languages.registerCodeLensProvider(configSelector, this),
      store.onDidChange(() => this.changeEmitter.fire()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.changeEmitter.fire()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('moeTuner.codeLens.enabled')) {
          this.changeEmitter.fire();
        }
      }),
    ];
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const started = performance.now();
    const lenses = readSetting('moeTuner.codeLens.enabled', document.uri) ? this.lensesOf(document) : [];
    this.slowestMilliseconds = Math.max(this.slowestMilliseconds ?? 0, performance.now() - started);
    return lenses;
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private lensesOf(document: vscode.TextDocument): vscode.CodeLens[] {
    const folder = folderOf(document.uri);
    const entry = folder === undefined ? undefined : this.store.get(folder);
    const situation = { trusted: vscode.workspace.isTrusted, onDisk: folder !== undefined };
    return configLenses(readConfigFacts(document.getText()), entry, situation).map(
      ({ anchor, title, command }) =>
        new vscode.CodeLens(rangeOf(document, anchor.property), {
          title,
          command: command ?? '',
          arguments: folder === undefined ? [] : [folder],
        }),
    );
  }
}
