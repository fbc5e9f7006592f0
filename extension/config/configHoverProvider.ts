import * as vscode from 'vscode';
import type { CommandId } from '../common/commandIds';
import { configSelector, folderOf, rangeOf } from '../common/documents';
import { localize } from '../common/localize';
import type { CheckpointEntry, CheckpointStore } from './checkpointStore';
import type { ConfigDecorations } from './configDecorations';
import { readConfigFacts } from './configFacts';
import { listedLayerMarkdown } from '../plan/planHoverText';

const linkedCommands: readonly CommandId[] = ['moeTuner.profile', 'moeTuner.openDashboard'];

function commandLink(title: string, command: CommandId, folder: string): string {
  return `[${title}](command:${command}?${encodeURIComponent(JSON.stringify([folder]))})`;
}

/** The tables behind the results at the ends of the lines of `config.json`, and what each number of a native list means. */
export class ConfigHoverProvider implements vscode.HoverProvider, vscode.Disposable {
  private readonly registration: vscode.Disposable;

  constructor(
    private readonly decorations: ConfigDecorations,
    private readonly store: CheckpointStore,
  ) {
    this.registration = vscode.languages.registerHoverProvider(configSelector, this);
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const results = this.decorations
      .resultsOf(document)
      .filter(({ anchor }) => rangeOf(document, anchor.property).start.line === position.line);
    const folder = folderOf(document.uri);
    const entry = folder === undefined ? undefined : this.store.get(folder);
    const parts = [
      entry && this.layerText(document, position, entry),
      ...results.map(({ markdown }) => markdown),
    ].filter((part) => part !== undefined);
    if (parts.length === 0) {
      return undefined;
    }
    const text = new vscode.MarkdownString(parts.join('\n\n---\n\n'));
    if (folder !== undefined) {
      const measure = commandLink(localize('Measure again'), 'moeTuner.profile', folder);
      const dashboard = commandLink(localize('Open dashboard'), 'moeTuner.openDashboard', folder);
      text.appendMarkdown(`\n\n${measure} · ${dashboard}`);
      text.isTrusted = { enabledCommands: linkedCommands };
    }
    return new vscode.Hover(text, document.lineAt(position.line).range);
  }

  dispose(): void {
    this.registration.dispose();
  }

  /** The explanation of one number where the config itself lists the active experts per layer. */
  private layerText(
    document: vscode.TextDocument,
    position: vscode.Position,
    entry: CheckpointEntry,
  ): string | undefined {
    const numbers = readConfigFacts(document.getText()).activeExperts?.numbers ?? [];
    const place = numbers.findIndex(({ span }) => rangeOf(document, span).contains(position));
    const number = numbers[place];
    return number && listedLayerMarkdown(place, numbers.length, number.value, entry);
  }
}
