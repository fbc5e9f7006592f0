import type { PlanMeasurements } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import {
  formatDecimals,
  formatInteger,
  formatMeasured,
  formatShare,
  formatSigned,
  formatSignedShare,
} from '../ui-kit/numbers';
import type { Explanation } from './explanation';

export type PlanRun = PlanMeasurements['evaluations'][number];

/** One value of the results with what stands behind it. */
export interface ResultCell {
  readonly text: string;
  readonly explanation: Explanation;
}

export interface ResultRow {
  readonly name: string;
  /** Parallel to the columns; undefined where nothing was measured. */
  readonly cells: readonly (ResultCell | undefined)[];
}

const percent = 100;

/** When a run ended, in the person's own time. */
export function runTime({ finished }: PlanRun): string {
  const time = new Date(finished);
  return Number.isNaN(time.getTime())
    ? finished
    : time.toLocaleString(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
}

function sourceOf(run: PlanRun): string {
  const source = text('planSourceRun', {
    time: runTime(run),
    provider: run.provider,
    seconds: text('seconds', { seconds: formatDecimals(run.seconds, 1) }),
  });
  return run.stale ? text('planSourceStale', { source }) : source;
}

/** Columns of the results. */
export function resultColumns(): readonly string[] {
  return [
    text('columnBaseline'),
    text('columnPlan'),
    text('columnDifference'),
    text('columnDivergence'),
    text('columnAgreement'),
  ];
}

function datasetRow(name: string, data: PlanRun['datasets'][string], run: PlanRun): ResultRow {
  const { perplexity, baselinePerplexity: before, tokens, kl, top1Agreement } = data;
  const source = sourceOf(run);
  const counted = formatInteger(tokens);
  const cell = (shown: string, title: string, rule: string, number: string): ResultCell => ({
    text: shown,
    explanation: { title: text('planCellTitle', { column: title, row: name }), rule, number, source },
  });
  const perplexityRule = text('planRulePerplexity');
  const change = before === undefined ? undefined : perplexity / before - 1;
  return {
    name,
    cells: [
      before === undefined
        ? undefined
        : cell(
            formatMeasured(before, 4),
            text('columnBaseline'),
            perplexityRule,
            text('planNumberTokens', { value: formatMeasured(before, 6), tokens: counted }),
          ),
      cell(
        formatMeasured(perplexity, 4),
        text('columnPlan'),
        perplexityRule,
        text('planNumberTokens', { value: formatMeasured(perplexity, 6), tokens: counted }),
      ),
      before === undefined || change === undefined
        ? undefined
        : cell(
            formatSignedShare(change),
            text('columnDifference'),
            text('planRuleChange'),
            text('planNumberChange', {
              plan: formatMeasured(perplexity, 6),
              baseline: formatMeasured(before, 6),
              change: formatSignedShare(change, 2),
            }),
          ),
      kl === undefined
        ? undefined
        : cell(
            formatMeasured(kl),
            text('columnDivergence'),
            text('planRuleKl'),
            text('planNumberTokens', { value: formatMeasured(kl, 6), tokens: counted }),
          ),
      top1Agreement === undefined
        ? undefined
        : cell(
            formatShare(top1Agreement),
            text('columnAgreement'),
            text('planRuleAgreement'),
            text('planNumberTokens', { value: formatShare(top1Agreement, 3), tokens: counted }),
          ),
    ],
  };
}

function accuracyRow(
  name: string,
  before: number | undefined,
  after: number,
  run: PlanRun,
  rule: 'planRuleAccuracy' | 'planRuleMeanAccuracy',
): ResultRow {
  const source = sourceOf(run);
  const cell = (shown: string, title: string, value: string, ruleText = text(rule)): ResultCell => ({
    text: shown,
    explanation: { title: text('planCellTitle', { column: title, row: name }), rule: ruleText, number: value, source },
  });
  const points = before === undefined ? undefined : formatSigned((after - before) * percent, 1);
  return {
    name,
    cells: [
      before === undefined ? undefined : cell(formatShare(before), text('columnBaseline'), formatShare(before, 3)),
      cell(formatShare(after), text('columnPlan'), formatShare(after, 3)),
      before === undefined || points === undefined
        ? undefined
        : cell(
            points,
            text('columnDifference'),
            text('planNumberPoints', { plan: formatShare(after, 2), baseline: formatShare(before, 2), points }),
            text('planRulePoints'),
          ),
      undefined,
      undefined,
    ],
  };
}

/** Everything one run measured, baseline against plan, a row for each data set and task. */
export function resultRows(run: PlanRun): readonly ResultRow[] {
  const rows = Object.entries(run.datasets).map(([name, data]) => datasetRow(name, data, run));
  const tasks = Object.entries(run.tasks).map(([name, accuracy]) =>
    accuracyRow(name, run.baselineTasks?.[name], accuracy, run, 'planRuleAccuracy'),
  );
  const { meanAccuracy, baselineMeanAccuracy } = run;
  const mean =
    meanAccuracy === undefined || tasks.length < 2
      ? []
      : [accuracyRow(text('mean'), baselineMeanAccuracy, meanAccuracy, run, 'planRuleMeanAccuracy')];
  return [...rows, ...tasks, ...mean];
}

/** Columns of the history. */
export function historyColumns(): readonly string[] {
  return [
    text('columnAverage'),
    text('columnPerplexityChange'),
    text('columnAccuracyChange'),
    text('columnPlanNumbers'),
  ];
}

function sameNumbers(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

/** One run of this plan in a line: how much it was changed, what that cost, and whether it had the numbers of now. */
export function historyCells(run: PlanRun, active: readonly number[]): readonly string[] {
  const { geometricMeanPerplexity: after, baselineGeometricMeanPerplexity: before } = run;
  const { meanAccuracy, baselineMeanAccuracy } = run;
  const total = run.activeExperts.reduce((sum, each) => sum + each, 0);
  const current = sameNumbers(run.activeExperts, active);
  return [
    formatDecimals(total / Math.max(1, run.activeExperts.length), 2),
    after === undefined || before === undefined ? '–' : formatSignedShare(after / before - 1),
    meanAccuracy === undefined || baselineMeanAccuracy === undefined
      ? '–'
      : formatSigned((meanAccuracy - baselineMeanAccuracy) * percent, 1),
    run.stale ? text('staleBadge') : text(current ? 'planNumbersCurrent' : 'planNumbersOther'),
  ];
}
