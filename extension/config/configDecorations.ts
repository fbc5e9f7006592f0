import * as vscode from 'vscode';
import { configSelector, folderOf, rangeOf } from '../common/documents';
import { LineEndTexts } from '../common/lineEndTexts';
import type { CheckpointStore } from './checkpointStore';
import { readConfigFacts } from './configFacts';
import { inlineResults, type InlineResult } from './inlineResults';

/** Draws measured results at the end of the lines of `config.json` they belong to. */
export class ConfigDecorations implements vscode.Disposable {
  private readonly texts: LineEndTexts;

  constructor(private readonly store: CheckpointStore) {
    this.texts = new LineEndTexts({
      selector: configSelector,
      textsOf: (document) =>
        this.resultsOf(document).map(({ anchor, text, stale }) => {
          return { line: rangeOf(document, anchor.property).end.line, text, stale };
        }),
      onDidChange: (listener) => store.onDidChange(listener),
    });
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
    this.texts.dispose();
  }
}
