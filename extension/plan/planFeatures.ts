import * as vscode from 'vscode';
import type { CommandId } from '../common/commandIds';
import { planSelector, rangeOf } from '../common/documents';
import type { Finding } from '../common/findings';
import { LineEndTexts, type LineEndText } from '../common/lineEndTexts';
import { localize } from '../common/localize';
import { readSetting } from '../common/settings';
import type { CheckpointStore } from '../config/checkpointStore';
import { evaluationTitle, fileName } from '../config/resultText';
import { formatPercent, formatPerplexity } from '../common/format';
import { matchPlan, type PlanMatch } from './planCheckpoint';
import { planFindings } from './planFindings';
import { planEntryMarkdown } from './planHoverText';
import { planLine } from './planMeasurements';
import { readPlanText, type PlanText } from './planText';
import { disposeAll, type Subscription } from '../common/subscription';

/** Lenses, hovers and problems of `*.moeplan.json` documents. */
export class PlanFeatures implements vscode.CodeLensProvider, vscode.HoverProvider, vscode.Disposable {
  private readonly changeEmitter = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changeEmitter.event;
  private readonly subscriptions: readonly Subscription[];

  constructor(private readonly store: CheckpointStore) {
    this.subscriptions = [
      this.changeEmitter,
      vscode.languages.registerCodeLensProvider(planSelector, this),
      vscode.languages.registerHoverProvider(planSelector, this),
      new LineEndTexts({
        selector: planSelector,
        textsOf: (document) => this.lineEnds(document),
        onDidChange: (listener) => store.onDidChange(listener),
      }),
      store.onDidChange(() => this.changeEmitter.fire()),
    ];
  }

  findings(document: vscode.TextDocument): Finding[] {
    const text = readPlanText(document.getText());
    return planFindings(text, this.match(document, text));
  }

  /** What stands at the end of the line on which the list of active experts begins. */
  lineEnds(document: vscode.TextDocument): LineEndText[] {
    const text = readPlanText(document.getText());
    const match = this.match(document, text);
    if (text.plan === undefined || text.activeExpertsProperty === undefined || match?.sameFingerprint === false) {
      return [];
    }
    const line = match && planLine(text.plan, document.uri.fsPath, match.checkpoint);
    const { offset } = text.activeExpertsProperty;
    return line === undefined ? [] : [{ line: document.positionAt(offset).line, ...line }];
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const text = readPlanText(document.getText());
    if (text.activeExpertsProperty === undefined || !readSetting('moeTuner.codeLens.enabled', document.uri)) {
      return [];
    }
    const range = rangeOf(document, text.activeExpertsProperty);
    const lens = (title: string, command: CommandId, argument: unknown): vscode.CodeLens =>
      new vscode.CodeLens(range, { title, command, arguments: [argument] });
    const match = this.match(document, text);
    const lenses = [lens(this.totalTitle(text), 'moeTuner.openDashboard', match?.checkpoint.folder)];
    lenses.push(lens(localize('Edit visually'), 'moeTuner.openPlanEditor', document.uri));
    const works = document.uri.scheme === 'file' && vscode.workspace.isTrusted && match?.sameFingerprint !== false;
    if (works && match?.checkpoint.summary?.forward.supported !== false) {
      lenses.push(lens(localize('Evaluate plan…'), 'moeTuner.evaluatePlan', document.uri));
      lenses.push(lens(localize('Generate…'), 'moeTuner.generate', document.uri));
    }
    if (works) {
      lenses.push(lens(localize('Apply…'), 'moeTuner.applyPlan', document.uri));
    }
    const result = match?.checkpoint.evaluations.findLast(({ plan }) => plan === document.uri.fsPath);
    if (match !== undefined && result !== undefined) {
      const perplexity = result.geometricMeanPerplexity;
      const quality = [
        perplexity === undefined ? '' : localize('perplexity {value}', { value: formatPerplexity(perplexity) }),
        result.meanAccuracy === undefined
          ? ''
          : localize('accuracy {value}', { value: formatPercent(result.meanAccuracy) }),
      ].filter((part) => part !== '');
      const title = `${evaluationTitle(result)}: ${quality.join(', ')}`;
      lenses.push(lens(title, 'moeTuner.openDashboard', match.checkpoint.folder));
    }
    return lenses;
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const text = readPlanText(document.getText());
    const offset = document.offsetAt(position);
    const place = text.activeExpertsEntries.findIndex((span) => {
      return offset >= span.offset && offset <= span.offset + span.length;
    });
    const budget = text.plan?.activeExperts?.[place];
    const match = this.match(document, text);
    const span = text.activeExpertsEntries[place];
    if (budget === undefined || span === undefined || match === undefined || match.sameFingerprint === false) {
      return undefined;
    }
    const file = document.uri.fsPath;
    const markdown = planEntryMarkdown(place, budget, match.checkpoint, text.plan && { plan: text.plan, file });
    return markdown === undefined
      ? undefined
      : new vscode.Hover(new vscode.MarkdownString(markdown), rangeOf(document, span));
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private totalTitle({ plan, activeExpertsEntries }: PlanText): string {
    const budgets = plan?.activeExperts ?? [];
    const total = budgets.reduce((sum, budget) => sum + budget, 0);
    const layers = activeExpertsEntries.length;
    const average = layers === 0 ? 0 : total / layers;
    return localize('{average} active experts per layer on average ({total} in {layers} layers)', {
      average: average.toFixed(2),
      total,
      layers,
    });
  }

  private match(document: vscode.TextDocument, { plan }: PlanText): PlanMatch | undefined {
    return document.uri.scheme === 'file' ? matchPlan(plan, document.uri.fsPath, this.store.all()) : undefined;
  }
}

/** The name a plan for a checkpoint gets by default. */
export function defaultPlanName(checkpointFolder: string): string {
  return `${fileName(checkpointFolder)}.moeplan.json`;
}
