import type { EvaluateResult } from '../../engine/protocol/evaluation';
import { text } from '../strings';
import {
  formatDecimals,
  formatMeasured,
  formatShare,
  formatSigned,
  formatSignedShare,
  formatTime,
} from '../ui-kit/numbers';

/** Which way a difference goes; `none` where there is no difference to speak of. */
export type Trend = 'better' | 'worse' | 'none';

export interface EvaluationRow {
  readonly name: string;
  readonly cells: readonly string[];
  readonly trend: Trend;
  /** A mean over the rows above. */
  readonly summary: boolean;
}

/** Rows of one kind under their own headings. */
export interface EvaluationGroup {
  readonly title: string;
  readonly headings: readonly string[];
  readonly rows: readonly EvaluationRow[];
}

const percent = 100;
/** Differences below what the table shows count as none. */
const smallestShown = 0.0005;

function trendOf(loss: number): Trend {
  if (Math.abs(loss) < smallestShown) {
    return 'none';
  }
  return loss > 0 ? 'worse' : 'better';
}

function perplexityRow(name: string, before: number | undefined, after: number, summary: boolean): EvaluationRow {
  if (before === undefined) {
    return { name, cells: [formatMeasured(after, 4)], trend: 'none', summary };
  }
  const change = after / before - 1;
  const cells = [formatMeasured(before, 4), formatMeasured(after, 4), formatSignedShare(change)];
  return { name, cells, trend: trendOf(change), summary };
}

function accuracyRow(name: string, before: number | undefined, after: number, summary: boolean): EvaluationRow {
  if (before === undefined) {
    return { name, cells: [formatShare(after)], trend: 'none', summary };
  }
  const cells = [formatShare(before), formatShare(after), formatSigned((after - before) * percent, 1)];
  return { name, cells, trend: trendOf(before - after), summary };
}

function perplexityGroup(run: EvaluateResult): EvaluationGroup | undefined {
  const entries = Object.entries(run.datasets);
  if (entries.length === 0) {
    return undefined;
  }
  const rows = entries.map(([name, set]) =>
    perplexityRow(name, run.baseline ? undefined : set.baselinePerplexity, set.perplexity, false),
  );
  if (run.geometricMeanPerplexity !== undefined && entries.length > 1) {
    const before = run.baseline ? undefined : run.baselineGeometricMeanPerplexity;
    rows.push(perplexityRow(text('geometricMean'), before, run.geometricMeanPerplexity, true));
  }
  return { title: text('perplexityGroup'), headings: headingsFor('columnDataset', rows), rows };
}

function agreementGroup(run: EvaluateResult): EvaluationGroup | undefined {
  const rows = Object.entries(run.datasets)
    .filter(([, set]) => set.kl !== undefined || set.top1Agreement !== undefined)
    .map(([name, { kl, top1Agreement }]): EvaluationRow => {
      const cells = [
        kl === undefined ? '–' : formatMeasured(kl),
        top1Agreement === undefined ? '–' : formatShare(top1Agreement),
      ];
      return { name, cells, trend: 'none', summary: false };
    });
  if (rows.length === 0 || run.baseline) {
    return undefined;
  }
  const headings = [text('columnDataset'), text('columnDivergence'), text('columnAgreement')];
  return { title: text('agreementGroup'), headings, rows };
}

function taskGroup(run: EvaluateResult): EvaluationGroup | undefined {
  const entries = Object.entries(run.tasks);
  if (entries.length === 0) {
    return undefined;
  }
  const rows = entries.map(([name, accuracy]) =>
    accuracyRow(name, run.baseline ? undefined : run.baselineTasks?.[name], accuracy, false),
  );
  if (run.meanAccuracy !== undefined && entries.length > 1) {
    const before = run.baseline ? undefined : run.baselineMeanAccuracy;
    rows.push(accuracyRow(text('mean'), before, run.meanAccuracy, true));
  }
  return { title: text('taskGroup'), headings: headingsFor('columnTask', rows), rows };
}

function headingsFor(first: 'columnDataset' | 'columnTask', rows: readonly EvaluationRow[]): readonly string[] {
  const compared = rows.some(({ cells }) => cells.length > 1);
  return compared
    ? [text(first), text('columnBaseline'), text('columnPlan'), text('columnDifference')]
    : [text(first), text('columnBaseline')];
}

/** One evaluation as groups of rows: perplexities, agreement with the baseline, task accuracies. */
export function evaluationGroups(run: EvaluateResult): readonly EvaluationGroup[] {
  return [perplexityGroup(run), agreementGroup(run), taskGroup(run)].filter((group) => group !== undefined);
}

/** Average number of active experts of an evaluation. */
export function averageExperts(run: EvaluateResult): number {
  return run.activeExperts.reduce((sum, k) => sum + k, 0) / Math.max(1, run.activeExperts.length);
}

/** Name of an evaluation in the list of runs. */
export function runLabel(run: EvaluateResult): string {
  const time = formatTime(run.finished);
  if (run.baseline) {
    return text('runBaseline', { time });
  }
  const plan = run.plan?.split(/[\\/]/).at(-1);
  return plan === undefined
    ? text('runExperts', { average: formatDecimals(averageExperts(run), 2), time })
    : text('runPlan', { plan, time });
}
