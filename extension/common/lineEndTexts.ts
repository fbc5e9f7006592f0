import * as vscode from 'vscode';
import { debounce } from './debounce';
import { disposeAll, type Subscription } from './subscription';

/** A text at the end of a line. */
export interface LineEndText {
  readonly line: number;
  readonly text: string;
  readonly stale: boolean;
}

export interface LineEndSource {
  readonly selector: vscode.DocumentSelector;
  readonly textsOf: (document: vscode.TextDocument) => readonly LineEndText[];
  readonly onDidChange: (listener: () => void) => Subscription;
}

const typingMilliseconds = 150;
const gap = '0 0 0 2em';

function decorationType(color: string): vscode.TextEditorDecorationType {
  return vscode.window.createTextEditorDecorationType({
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedOpen,
    after: { margin: gap, color: new vscode.ThemeColor(color), fontStyle: 'italic' },
  });
}

/** Draws results at the ends of the lines they belong to, in every visible editor of some documents. */
export class LineEndTexts implements vscode.Disposable {
  private readonly fresh = decorationType('moeTuner.inlineResultForeground');
  private readonly stale = decorationType('moeTuner.staleResultForeground');
  private readonly redraw = debounce(() => this.drawAll(), typingMilliseconds);
  private readonly subscriptions: readonly Subscription[];

  constructor(private readonly source: LineEndSource) {
    this.subscriptions = [
      this.fresh,
      this.stale,
      this.redraw,
      source.onDidChange(() => this.redraw()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.redraw()),
      vscode.workspace.onDidChangeTextDocument(({ document }) => {
        if (this.covers(document)) {
          this.redraw();
        }
      }),
    ];
    this.redraw();
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private covers(document: vscode.TextDocument): boolean {
    return vscode.languages.match(this.source.selector, document) > 0;
  }

  private drawAll(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      if (this.covers(editor.document)) {
        this.draw(editor);
      }
    }
  }

  private draw(editor: vscode.TextEditor): void {
    const { document } = editor;
    const texts = this.source.textsOf(document);
    const options = (stale: boolean): vscode.DecorationOptions[] =>
      texts
        .filter((text) => text.stale === stale)
        .map(({ line, text }) => ({
          range: document.lineAt(line).range,
          renderOptions: { after: { contentText: text } },
        }));
    editor.setDecorations(this.fresh, options(false));
    editor.setDecorations(this.stale, options(true));
  }
}
