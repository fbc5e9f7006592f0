import * as vscode from 'vscode';
import { disposeAll, type Subscription } from '../common/subscription';

/**
 * Tells when the file of an unsaved document got other content on disk. VS Code reloads documents without unsaved changes by itself;
 * with them it asks only on saving, which is late for somebody who goes on editing.
 */
export class SavedFileWatch implements vscode.Disposable {
  private different = false;
  /** Content of the file that the document goes back to; unknown where unsaved changes were restored from an earlier window. */
  private known: string | undefined;
  private readonly subscriptions: readonly Subscription[];

  constructor(
    private readonly document: vscode.TextDocument,
    private readonly onChange: () => void,
  ) {
    const { uri } = document;
    this.known = document.isDirty ? undefined : document.getText();
    const pattern = new vscode.RelativePattern(vscode.Uri.joinPath(uri, '..'), uri.path.split('/').at(-1) ?? '');
    const watcher = vscode.workspace.createFileSystemWatcher(pattern);
    this.subscriptions = [
      watcher,
      watcher.onDidChange(() => void this.compare()),
      watcher.onDidCreate(() => void this.compare()),
      vscode.workspace.onDidSaveTextDocument((saved) => {
        if (saved === document) {
          this.settled();
        }
      }),
      vscode.workspace.onDidChangeTextDocument((event) => {
        if (event.document === document && !document.isDirty) {
          this.settled();
        }
      }),
    ];
  }

  /** Whether saving would overwrite content that the document never had. */
  get differs(): boolean {
    return this.different;
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private async compare(): Promise<void> {
    try {
      const text = new TextDecoder().decode(await vscode.workspace.fs.readFile(this.document.uri));
      this.set(this.document.isDirty && this.known !== undefined && text !== this.known);
    } catch {
      // Deleted between the event and the reading: the next event tells what became of it.
      this.set(false);
    }
  }

  /** The document is what the file is. */
  private settled(): void {
    this.known = this.document.getText();
    this.set(false);
  }

  private set(different: boolean): void {
    if (this.different !== different) {
      this.different = different;
      this.onChange();
    }
  }
}
