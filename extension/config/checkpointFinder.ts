import { sep } from 'node:path';
import * as vscode from 'vscode';
import { debounce } from '../common/debounce';
import { setContextKey } from '../common/contextKeys';
import { folderOf } from '../common/documents';
import type { CheckpointStore } from './checkpointStore';
import { largestConfigCharacters, looksLikeMixtureOfExperts, readConfigFacts } from './configFacts';
import { fileName } from './resultText';
import { disposeAll, type Subscription } from '../common/subscription';

const excluded = '**/{node_modules,.git,.venv,__pycache__}/**';
const excludedSegments = /\/(node_modules|\.git|\.venv|__pycache__)(\/|$)/;
const mostConfigFiles = 500;
const mostCreated = 100;
const settleMilliseconds = 400;

/** Files whose change makes what is known about a checkpoint out of date. */
const checkpointFiles = '**/{config.json,*.safetensors,*.safetensors.index.json}';

/** Finds the folders of the workspace whose `config.json` looks like a mixture of experts, and keeps up with changes. */
export class CheckpointFinder implements vscode.Disposable {
  private readonly subscriptions: Subscription[] = [];
  private watchers: vscode.Disposable[] = [];
  private readonly changedFolders = new Set<string>();
  private readonly created: vscode.Uri[] = [];
  private readonly settled = debounce(() => void this.processChanges(), settleMilliseconds);

  constructor(
    private readonly store: CheckpointStore,
    private readonly onFolderChanged: (folder: string) => void,
  ) {
    this.watch();
    this.subscriptions.push(
      vscode.workspace.onDidChangeWorkspaceFolders(({ removed }) => {
        for (const folder of removed) {
          this.forgetBelow(folder.uri.fsPath);
        }
        this.watch();
        void this.search();
      }),
    );
  }

  /** Looks through all workspace folders. */
  async search(): Promise<void> {
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      if (folder.uri.scheme === 'file') {
        const pattern = new vscode.RelativePattern(folder, '**/config.json');
        const files = await vscode.workspace.findFiles(pattern, excluded, mostConfigFiles);
        await Promise.all(files.map((file) => this.check(file)));
      }
    }
    setContextKey('moeTuner.searched', true);
  }

  dispose(): void {
    this.settled.dispose();
    disposeAll([...this.watchers, ...this.subscriptions]);
  }

  /** Adds the folder of a `config.json` to the store if it looks like a mixture of experts, else removes it. */
  private async check(file: vscode.Uri): Promise<void> {
    const folder = folderOf(file);
    if (folder === undefined) {
      return;
    }
    if (await this.looksLikeCheckpoint(file)) {
      this.store.add({ folder, label: this.labelOf(file, folder) });
    } else {
      this.store.remove(folder);
    }
  }

  private async looksLikeCheckpoint(file: vscode.Uri): Promise<boolean> {
    try {
      const { size } = await vscode.workspace.fs.stat(file);
      if (size > largestConfigCharacters) {
        return false;
      }
      const bytes = await vscode.workspace.fs.readFile(file);
      return looksLikeMixtureOfExperts(readConfigFacts(new TextDecoder().decode(bytes)));
    } catch {
      // A file that vanished or cannot be read is no checkpoint; the watcher reports it when that changes.
      return false;
    }
  }

  private labelOf(file: vscode.Uri, folder: string): string {
    const relative = vscode.workspace.asRelativePath(vscode.Uri.joinPath(file, '..'));
    return relative === folder ? fileName(folder) : relative;
  }

  private watch(): void {
    disposeAll(this.watchers);
    this.watchers = (vscode.workspace.workspaceFolders ?? [])
      .filter(({ uri }) => uri.scheme === 'file')
      .flatMap((folder) => {
        const watcher = vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(folder, checkpointFiles));
        const note = (file: vscode.Uri): void => {
          this.changedFolders.add(vscode.Uri.joinPath(file, '..').fsPath);
          this.settled();
        };
        // A whole folder that appears or goes is one event, which the pattern of the files in it does not see.
        const anything = new vscode.RelativePattern(folder, '**');
        const structure = vscode.workspace.createFileSystemWatcher(anything, false, true, false);
        return [
          watcher,
          watcher.onDidCreate(note),
          watcher.onDidChange(note),
          watcher.onDidDelete(note),
          structure,
          structure.onDidCreate((created) => this.noteCreated(created)),
          structure.onDidDelete(({ fsPath }) => this.noteBelow(fsPath)),
        ];
      });
  }

  private noteCreated(created: vscode.Uri): void {
    if (!excludedSegments.test(created.path)) {
      this.created.push(created);
      this.settled();
    }
  }

  /** Looks for checkpoints in folders that appeared; after a large change the whole workspace is searched. */
  private async searchCreated(created: readonly vscode.Uri[]): Promise<void> {
    if (created.length > mostCreated) {
      await this.search();
      return;
    }
    for (const uri of created) {
      const type = await vscode.workspace.fs.stat(uri).then(
        (stat) => stat.type,
        () => vscode.FileType.Unknown,
      );
      if ((type & vscode.FileType.Directory) !== 0) {
        const pattern = new vscode.RelativePattern(uri, '**/config.json');
        const files = await vscode.workspace.findFiles(pattern, excluded, mostConfigFiles);
        await Promise.all(files.map((file) => this.check(file)));
      }
    }
  }

  private async processChanges(): Promise<void> {
    const folders = [...this.changedFolders];
    this.changedFolders.clear();
    await this.searchCreated(this.created.splice(0));
    for (const folder of folders) {
      await this.check(vscode.Uri.joinPath(vscode.Uri.file(folder), 'config.json'));
      this.store.invalidate(folder);
      this.onFolderChanged(folder);
    }
  }

  private noteBelow(root: string): void {
    for (const folder of this.foldersBelow(root)) {
      this.changedFolders.add(folder);
      this.settled();
    }
  }

  private forgetBelow(root: string): void {
    for (const folder of this.foldersBelow(root)) {
      this.store.remove(folder);
    }
  }

  private foldersBelow(root: string): string[] {
    return this.store
      .all()
      .map(({ folder }) => folder)
      .filter((folder) => folder === root || folder.startsWith(root + sep));
  }
}
