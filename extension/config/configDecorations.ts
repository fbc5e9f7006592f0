import * as vscode from 'vscode';
import { configSelector, folderOf, rangeOf } from '../common/documents';
import { debounce } from '../common/debounce';
import type { CheckpointStore } from './checkpointStore';
import { readConfigFacts } from './configFacts';
import { inlineResults, type InlineResult } from './inlineResults';
import { disposeAll, type Subscription } from '../common/subscription';

const typingMilliseconds = 150;
const gap = '0 0 0 2em';

function decorationType(color: string): vscode.TextEditorDecorationType {
  return vscode.window.createTextEditorDecorationType({
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedOpen,
    after: { margin: gap, color: new vscode.ThemeColor(color), fontStyle: 'italic' },
  });
}

/** Draws measured results at the end of the lines of `config.json` they belong to. */
export class ConfigDecorations implements vscode.Disposable {
  private readonly fresh = decorationType('moeTuner.inlineResultForeground');
  private readonly stale = decorationType('moeTuner.staleResultForeground');
  private readonly redraw = debounce(() => this.drawAll(), typingMilliseconds);
  private readonly subscriptions: readonly Subscription[];

  constructor(private readonly store: CheckpointStore) {
    this.subscriptions = [
      this.fresh,
      this.stale,
      this.redraw,
      store.onDidChange(() => this.redraw()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.redraw()),
      vscode.workspace.onDidChangeTextDocument(({ document }) => {
        if (vscode.languages.match(configSelector, document) > 0) {
          this.redraw();
        }
      }),
    ];
    this.redraw();
  }

  /** The results of one document, as drawn and as its hovers show them. */
  resultsOf(document: vscode.TextDocument): InlineResult[] {
    const folder = folderOf(document.uri);
    if (folder === undefined || vscode.languages.match(configSelector, document) === 0) {
      return [];
    }
    return inlineResults(readConfigFacts(document.getText()), this.store.get(folder));
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private drawAll(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      if (vscode.languages.match(configSelector, editor.document) > 0) {
        this.draw(editor);
      }
    }
  }

  private draw(editor: vscode.TextEditor): void {
    const results = this.resultsOf(editor.document);
    const options = (stale: boolean): vscode.DecorationOptions[] =>
      results
        .filter((result) => result.stale === stale)
        .map(({ anchor, text }) => {
          const line = editor.document.lineAt(rangeOf(editor.document, anchor.property).end.line);
          return { range: line.range, renderOptions: { after: { contentText: text } } };
        });
    editor.setDecorations(this.fresh, options(false));
    editor.setDecorations(this.stale, options(true));
  }
}
