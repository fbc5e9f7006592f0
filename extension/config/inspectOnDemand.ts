import * as vscode from 'vscode';
import { folderOf, isConfigFile, isPlanFile } from '../common/documents';
import type { CheckpointStore } from './checkpointStore';
import { looksLikeMixtureOfExperts, readConfigFacts } from './configFacts';
import { fileName } from './resultText';
import { disposeAll, type Subscription } from '../common/subscription';

/**
 * Has the engine read a checkpoint's headers when a person looks at something that needs them: its `config.json`, a
 * plan file, or one of the views. Nothing is started otherwise, and nothing at all in Restricted Mode.
 */
export class InspectOnDemand implements vscode.Disposable {
  private readonly subscriptions: readonly Subscription[];
  private readonly views = new Set<string>();

  constructor(private readonly store: CheckpointStore) {
    this.subscriptions = [
      vscode.workspace.onDidOpenTextDocument((document) => this.documentShown(document)),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.lookAround()),
    ];
  }

  /** Considers what is open already. */
  lookAround(): void {
    for (const document of vscode.workspace.textDocuments) {
      this.documentShown(document);
    }
    if (this.views.size > 0) {
      this.inspectAll();
    }
  }

  /** A view that shows checkpoints became visible or hidden. */
  viewChanged(name: string, visible: boolean): void {
    if (visible) {
      this.views.add(name);
      this.inspectAll();
    } else {
      this.views.delete(name);
    }
  }

  /** Files of a checkpoint changed: reads them again where someone is looking. */
  folderChanged(folder: string): void {
    const shown = vscode.workspace.textDocuments.some(
      ({ uri }) => isPlanFile(uri) || (isConfigFile(uri) && folderOf(uri) === folder),
    );
    if ((shown || this.views.size > 0) && this.store.get(folder) !== undefined) {
      this.inspect(folder);
    }
  }

  /** Reads the headers of every checkpoint that was found. */
  inspectAll(): void {
    for (const { folder } of this.store.all()) {
      this.inspect(folder);
    }
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private documentShown(document: vscode.TextDocument): void {
    if (isPlanFile(document.uri)) {
      this.inspectAll();
      return;
    }
    const folder = isConfigFile(document.uri) ? folderOf(document.uri) : undefined;
    if (folder === undefined || !looksLikeMixtureOfExperts(readConfigFacts(document.getText()))) {
      return;
    }
    if (this.store.get(folder) === undefined) {
      this.store.add({ folder, label: fileName(folder) });
    }
    this.inspect(folder);
  }

  private inspect(folder: string): void {
    if (vscode.workspace.isTrusted) {
      void this.store.inspect(folder);
    }
  }
}
