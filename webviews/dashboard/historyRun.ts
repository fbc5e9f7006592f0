import type { DecidedBits } from '../../engine/protocol/dashboard';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { PruneRun } from '../../engine/protocol/expertScores';
import type { MergeRun } from '../../engine/protocol/merging';
import { text } from '../strings';
import { formatDecimals, formatMeasured, formatShare, formatTime } from '../ui-kit/numbers';
import { averageExperts, runLabel } from './evaluationModel';

/** Which values of a measure are good; `neither` for what says nothing about quality. */
export type Better = 'lower' | 'higher' | 'neither';

/** One number of a run, under a name that runs of other kinds share where it means the same. */
export interface RunMeasure {
  readonly name: string;
  /** Rows of the comparison stand in the order of their groups. */
  readonly group: number;
  readonly value: number;
  readonly better: Better;
  readonly print: (value: number) => string;
}

/** A finished run of the history, as it is compared with others. */
export interface HistoryRun {
  /** When it ended; names the run. */
  readonly finished: string;
  readonly label: string;
  readonly measures: readonly RunMeasure[];
}

const bytesPerMegabyte = 1e6;
const groups = { size: 0, perplexity: 1, divergence: 2, agreement: 3, accuracy: 4, effort: 5 } as const;

const perplexity = (value: number): string => formatMeasured(value, 5);
const divergence = (value: number): string => formatMeasured(value, 4);
const share = (value: number): string => formatShare(value);
const two = (value: number): string => formatDecimals(value, 2);
const one = (value: number): string => formatDecimals(value, 1);

/** A measure, or nothing where the run did not take it. */
function measure(
  name: string,
  group: keyof typeof groups,
  value: number | undefined,
  better: Better,
  print: (value: number) => string,
): RunMeasure[] {
  return value === undefined ? [] : [{ name, group: groups[group], value, better, print }];
}

function megabytes(bytes: number | undefined): RunMeasure[] {
  const value = bytes === undefined ? undefined : bytes / bytesPerMegabyte;
  return measure(text('compareExpertBytes'), 'size', value, 'neither', one);
}

/** An evaluation: what the whole model does on texts and tasks. */
export function evaluationRun(run: EvaluateResult): HistoryRun {
  const datasets = Object.entries(run.datasets);
  const mean = text('comparePerplexity', { name: text('geometricMean') });
  return {
    finished: run.finished,
    label: runLabel(run),
    measures: [
      ...measure(text('compareAverage'), 'size', averageExperts(run), 'neither', two),
      ...megabytes(run.expertBytes),
      ...measure(mean, 'perplexity', run.geometricMeanPerplexity, 'lower', perplexity),
      ...datasets.flatMap(([name, set]) =>
        measure(text('comparePerplexity', { name }), 'perplexity', set.perplexity, 'lower', perplexity),
      ),
      ...datasets.flatMap(([name, set]) =>
        measure(text('compareKl', { name }), 'divergence', set.kl, 'lower', divergence),
      ),
      ...datasets.flatMap(([name, set]) =>
        measure(text('compareAgreement', { name }), 'agreement', set.top1Agreement, 'higher', share),
      ),
      ...measure(text('compareTask', { name: text('mean') }), 'accuracy', run.meanAccuracy, 'higher', share),
      ...Object.entries(run.tasks).flatMap(([name, accuracy]) =>
        measure(text('compareTask', { name }), 'accuracy', accuracy, 'higher', share),
      ),
      ...measure(text('compareSeconds'), 'effort', run.seconds, 'neither', one),
    ],
  };
}

/** Names of measures on the text that a decision was made with; runs on as many tokens of it share them. */
function onCalibration(tokens: number | undefined, kl: number | undefined, logPerplexity: number | undefined) {
  const name = text('compareCalibration', { tokens: tokens ?? '?' });
  const value = logPerplexity === undefined ? undefined : Math.exp(logPerplexity);
  return [
    ...measure(text('comparePerplexity', { name }), 'perplexity', value, 'lower', perplexity),
    ...measure(text('compareKl', { name }), 'divergence', kl, 'lower', divergence),
  ];
}

/** A choice of experts that stay. */
export function pruneRun({ finished, chosen, method, ratio, keep, measured, calibrationTokens }: PruneRun): HistoryRun {
  const kept = keep.reduce((sum, { length }) => sum + length, 0);
  return {
    finished,
    label: text('runPruned', {
      method: chosen ?? method,
      ratio: formatShare(ratio, 0),
      time: formatTime(finished),
    }),
    measures: [
      ...measure(text('compareKept'), 'size', kept, 'neither', (value) => formatDecimals(value, 0)),
      ...onCalibration(calibrationTokens, measured?.kl, measured?.logPerplexity),
    ],
  };
}

/** A choice of experts that become one. */
export function mergeRun(run: MergeRun): HistoryRun {
  const { finished, kept, keptExpertBytes, measured, measuredTokens, method, ratio, seconds } = run;
  return {
    finished,
    label: text('runMerged', { method, ratio: formatShare(ratio, 0), time: formatTime(finished) }),
    measures: [
      ...megabytes(keptExpertBytes),
      ...measure(text('compareKept'), 'size', kept, 'neither', (value) => formatDecimals(value, 0)),
      ...onCalibration(measuredTokens, measured?.kl, measured?.logPerplexity),
      ...measure(text('compareSeconds'), 'effort', seconds, 'neither', one),
    ],
  };
}

/** A choice of bits. */
export function quantizeRun(run: DecidedBits & { readonly finished: string }): HistoryRun {
  const { averageBits, bytes, calibrationTokens, effectiveBits, finished, kl, method, seconds } = run;
  const log = run.perplexity === undefined ? undefined : Math.log(run.perplexity);
  return {
    finished,
    label: text('runQuantized', { method, bits: two(averageBits), time: formatTime(finished) }),
    measures: [
      ...megabytes(bytes),
      ...measure(text('compareBits'), 'size', averageBits, 'neither', two),
      ...measure(text('compareEffectiveBits'), 'size', effectiveBits, 'neither', two),
      ...onCalibration(calibrationTokens, kl, log),
      ...measure(text('compareSeconds'), 'effort', seconds, 'neither', one),
    ],
  };
}
