import type { EvaluateResult } from '../../engine/protocol/evaluation';
import { text } from '../strings';
import { formatDecimals, formatMeasured, formatShare } from '../ui-kit/numbers';
import { averageExperts, runLabel } from './evaluationModel';

/** One measure of all compared runs. */
export interface CompareRow {
  readonly name: string;
  readonly cells: readonly string[];
  /** Unrounded values in the order of the runs; null where a run did not measure it. */
  readonly values: readonly (number | null)[];
  /** Runs that have the best value; none where the row says nothing about quality or all are the same. */
  readonly best: readonly number[];
  /** Whether the runs differ at all. */
  readonly differs: boolean;
}

export interface CompareModel {
  readonly runs: readonly string[];
  readonly rows: readonly CompareRow[];
}

type Better = 'lower' | 'higher' | 'neither';

/** Differences below this share of a value are not differences. */
const smallest = 1e-9;

function rowOf(
  name: string,
  values: readonly (number | undefined)[],
  better: Better,
  print: (value: number) => string,
): CompareRow | undefined {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) {
    return undefined;
  }
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const differs = high - low > smallest * Math.max(Math.abs(low), Math.abs(high)) || known.length < values.length;
  const target = better === 'lower' ? low : high;
  const isBest = (value: number | undefined): boolean => value !== undefined && Math.abs(value - target) <= smallest;
  return {
    name,
    cells: values.map((value) => (value === undefined ? '–' : print(value))),
    values: values.map((value) => value ?? null),
    best:
      better === 'neither' || high - low <= smallest ? [] : values.flatMap((value, at) => (isBest(value) ? [at] : [])),
    differs,
  };
}

/** Names in the order in which they first appear in any run. */
function namesIn(runs: readonly EvaluateResult[], pick: (run: EvaluateResult) => object): string[] {
  return [...new Set(runs.flatMap((run) => Object.keys(pick(run))))];
}

/** Runs side by side, one row per measure that any of them has. */
export function compareModelOf(runs: readonly EvaluateResult[]): CompareModel {
  const datasets = namesIn(runs, ({ datasets: all }) => all);
  const tasks = namesIn(runs, ({ tasks: all }) => all);
  const perplexity = (value: number): string => formatMeasured(value, 5);
  const kl = (value: number): string => formatMeasured(value, 4);
  const rows = [
    rowOf(text('compareAverage'), runs.map(averageExperts), 'neither', (value) => formatDecimals(value, 2)),
    rowOf(
      text('comparePerplexity', { name: text('geometricMean') }),
      runs.map(({ geometricMeanPerplexity }) => geometricMeanPerplexity),
      'lower',
      perplexity,
    ),
    ...datasets.map((name) =>
      rowOf(
        text('comparePerplexity', { name }),
        runs.map((run) => run.datasets[name]?.perplexity),
        'lower',
        perplexity,
      ),
    ),
    ...datasets.map((name) =>
      rowOf(
        text('compareKl', { name }),
        runs.map((run) => run.datasets[name]?.kl),
        'lower',
        kl,
      ),
    ),
    ...datasets.map((name) =>
      rowOf(
        text('compareAgreement', { name }),
        runs.map((run) => run.datasets[name]?.top1Agreement),
        'higher',
        (value) => formatShare(value),
      ),
    ),
    rowOf(
      text('compareTask', { name: text('mean') }),
      runs.map(({ meanAccuracy }) => meanAccuracy),
      'higher',
      (value) => formatShare(value),
    ),
    ...tasks.map((name) =>
      rowOf(
        text('compareTask', { name }),
        runs.map((run) => run.tasks[name]),
        'higher',
        (value) => formatShare(value),
      ),
    ),
    rowOf(
      text('compareSeconds'),
      runs.map(({ seconds }) => seconds),
      'neither',
      (value) => formatDecimals(value, 1),
    ),
  ];
  return { runs: runs.map(runLabel), rows: rows.filter((row) => row !== undefined) };
}
