import type { HistoryRun, RunMeasure } from './historyRun';

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

/** Differences below this share of a value are not differences. */
const smallest = 1e-9;

function rowOf({ name, better, print }: RunMeasure, runs: readonly HistoryRun[]): CompareRow {
  const values = runs.map(({ measures }) => measures.find((measure) => measure.name === name)?.value);
  const known = values.filter((value) => value !== undefined);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const target = better === 'lower' ? low : high;
  const isBest = (value: number | undefined): boolean => value !== undefined && Math.abs(value - target) <= smallest;
  return {
    name,
    cells: values.map((value) => (value === undefined ? '–' : print(value))),
    values: values.map((value) => value ?? null),
    best:
      better === 'neither' || high - low <= smallest ? [] : values.flatMap((value, at) => (isBest(value) ? [at] : [])),
    differs: high - low > smallest * Math.max(Math.abs(low), Math.abs(high)) || known.length < values.length,
  };
}

/** Runs side by side, one row per measure that any of them has: by group, then in the order in which they first appear. */
export function compareModelOf(runs: readonly HistoryRun[]): CompareModel {
  const measures = new Map<string, RunMeasure>();
  for (const measure of runs.flatMap((run) => run.measures)) {
    measures.set(measure.name, measures.get(measure.name) ?? measure);
  }
  const ordered = [...measures.values()].sort((one, other) => one.group - other.group);
  return { runs: runs.map(({ label }) => label), rows: ordered.map((measure) => rowOf(measure, runs)) };
}
