import { layerFingerprint } from '../checkpoint/fingerprint';
import { specTensors } from '../families/specTensors';
import { runCalibration, type MeasuredLayer } from '../measure/calibration/calibrationPass';
import { readStatistics, type StatisticsFile } from '../measure/calibration/statisticsFile';
import type { JobContext } from '../measure/jobContext';
import { batchSequences } from '../measure/sequenceBatches';
import { ranOn, runtimeKey } from '../runtime/graphTargets';
import { TunerError } from '../protocol/errors';
import { engineVersion } from '../version';
import { trainedActiveExperts } from './activeExperts';
import { KeptProgress } from './calibrationProgress';
import { calibrationSequences, type CalibrationSequences, type CalibrationTextOptions } from './calibrationSequences';
import { attentionHeads } from './evaluate';
import type { OpenModel } from './openModel';
import { runtimeOptions, type EngineServices } from './services';

/** Part of every cache key: raise it when the meaning of a statistic changes. */
const calibrationVersion = 2;

export interface CollectOptions extends CalibrationTextOptions {
  /** Tokens whose block inputs are kept. */
  readonly sample: number;
  /** Whether all experts run on the sample. */
  readonly dense: boolean;
  /** Whether sums over pairs of experts are kept for every task too. */
  readonly taskPairs: boolean;
  readonly trace: boolean;
  readonly seed: number;
}

export interface CollectedStatistics extends StatisticsFile {
  readonly text: CalibrationSequences;
  readonly layers: readonly MeasuredLayer[];
  readonly resumedLayers: number;
  readonly provider: string;
}

/**
 * One calibration pass over text, or what the cache knows of it. Every finished layer is kept at once: a job that was cancelled or
 * killed continues where it was, and the same text on the same weights is not measured twice.
 * @throws TunerError `usage`, `missingTokenizer`, `malformedText`, `cancelled`, `nonFiniteWeights`, `unsupportedFeature`, …
 */
export async function collectStatistics(
  model: OpenModel,
  options: CollectOptions,
  services: EngineServices,
  job: JobContext,
): Promise<CollectedStatistics> {
  const spec = model.resolved.decoder();
  const text = await calibrationSequences(model, options);
  const machine = await runtimeOptions(services, job);
  const activeExperts = trainedActiveExperts(model);
  const { sample, dense, taskPairs, trace, seed } = options;
  const progress = new KeptProgress({
    cache: services.cache,
    cacheLimitBytes: services.settings.cacheLimitBytes,
    key: [
      calibrationVersion,
      await layerFingerprint(specTensors(spec)),
      JSON.stringify(spec, (key, value: unknown) => (key === 'file' || key === 'byteOffset' ? undefined : value)),
      activeExperts,
      [text.texts, text.length, text.tags],
      [sample, dense, taskPairs, seed],
      runtimeKey(machine),
    ],
    tags: text.tags,
    trace,
  });
  const { layers, resumedLayers } = await runCalibration({
    model: spec,
    activeExperts,
    machine,
    sequences: text.sequences,
    batches: batchSequences(
      text.sequences.map(({ ids }) => ids),
      attentionHeads(spec),
    ),
    tags: text.tags,
    sample,
    dense,
    taskPairs,
    trace,
    seed,
    job,
    progress,
  });
  const { fingerprint } = model;
  const family = model.resolved.recognised.record.name;
  const { tokens, tags } = text;
  return {
    statistics: { fingerprint, family, tokens, seed, tags, layers: layers.map(({ statistics }) => statistics) },
    description: {
      engine: engineVersion,
      fingerprint,
      family,
      tokens,
      seed,
      length: text.length,
      tags: [...tags],
      texts: text.texts.map((each) => ({ ...each })),
      layers: layers.map(({ statistics }) => statistics.index),
    },
    text,
    layers,
    resumedLayers,
    provider: ranOn(machine),
  };
}

/**
 * Reads a statistics file that belongs to a model.
 * @throws TunerError `statisticsForAnotherCheckpoint`, and those of {@link readStatistics}
 */
export async function loadStatistics(file: string, model: OpenModel): Promise<StatisticsFile> {
  const read = await readStatistics(file);
  const { statistics } = read;
  const { blocks } = model.resolved;
  const fits =
    statistics.layers.length === blocks.length &&
    statistics.layers.every(
      ({ index, experts, hiddenSize }, at) =>
        index === blocks[at]!.layer && experts === blocks[at]!.experts.length && hiddenSize === blocks[at]!.hiddenSize,
    );
  if (statistics.fingerprint !== model.fingerprint || !fits) {
    throw new TunerError('statisticsForAnotherCheckpoint', 'The statistics were taken on another checkpoint.', {
      file,
      place: 'fingerprint',
      wayOut: 'Run moe-tuner calibrate on this checkpoint.',
    });
  }
  return read;
}
