import { stat } from 'node:fs/promises';
import path from 'node:path';
import { writeError } from '../checkpoint/atomicFile';
import { summariseLayer } from '../measure/calibration/coverage';
import { writeStatistics } from '../measure/calibration/statisticsFile';
import { traceFileVersion, writeTrace, type RoutingTrace } from '../measure/calibration/traceFile';
import type { JobContext } from '../measure/jobContext';
import type { CalibrateParams, CalibrateResult, CalibratedLayer } from '../protocol/calibration';
import { TunerError } from '../protocol/errors';
import { collectStatistics, type CollectedStatistics } from './collectStatistics';
import { keepExpertScores } from './expertScores';
import { openModel } from './openModel';
import type { EngineServices } from './services';

/**
 * One calibration pass over text, written to a statistics file that pruning, merging and the dashboard read.
 * @throws TunerError `writeFailed` before anything is measured where the place cannot be written to, and those of
 * {@link collectStatistics}
 */
export async function calibrate(
  params: CalibrateParams,
  services: EngineServices,
  job: JobContext,
): Promise<CalibrateResult> {
  const start = performance.now();
  const file = path.resolve(params.out);
  const traceFile = params.trace ? tracePath(file) : undefined;
  await assertFolder(path.dirname(file));
  const model = await openModel(params.checkpoint);
  const collected = await collectStatistics(model, params, services, job);
  await writeStatistics(file, collected);
  if (traceFile !== undefined) {
    await writeTrace(traceFile, traceOf(collected));
  }
  const { blocks } = model.resolved;
  const layers = collected.statistics.layers.map((layer, at) => summariseLayer(layer, blocks[at]!));
  const result: CalibrateResult = {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    file,
    bytes: (await stat(file)).size,
    ...(traceFile === undefined ? {} : { trace: traceFile }),
    tokens: collected.statistics.tokens,
    tags: collected.statistics.tags.map((name, at) => ({
      name,
      tokens: collected.statistics.layers[0]!.byTag[at]!.tokens,
    })),
    seed: params.seed,
    layers,
    notes: [...collected.text.notes, ...coverageNotes(layers)],
    resumedLayers: collected.resumedLayers,
    seconds: (performance.now() - start) / 1000,
    provider: collected.provider,
    finished: new Date().toISOString(),
  };
  await services.cache.addResult(model.resultsKey, 'calibration', result);
  const { statistics } = collected;
  await keepExpertScores(model, services, { statistics, tags: [], seed: params.seed }, []);
  return result;
}

/** `S.safetensors` has its trace in `S.trace.safetensors`. */
function tracePath(file: string): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, `${name}.trace${ext}`);
}

/** A place that cannot be written to is told at once, not after an hour. */
async function assertFolder(folder: string): Promise<void> {
  try {
    if (!(await stat(folder)).isDirectory()) {
      throw new TunerError('writeFailed', 'This is a file, not a folder.', { file: folder });
    }
  } catch (error) {
    throw writeError(error, folder);
  }
}

function traceOf({ statistics, layers, text }: CollectedStatistics): RoutingTrace {
  return {
    description: {
      version: traceFileVersion,
      fingerprint: statistics.fingerprint,
      tags: [...statistics.tags],
      tokens: statistics.tokens,
      sequences: text.sequences.length,
      layers: statistics.layers.map(({ index, experts, activeExperts }) => ({ index, experts, activeExperts })),
    },
    sequences: text.sequences,
    layers: layers.map(({ trace }) => trace!),
  };
}

/** What a person should know about experts that the text hardly reached. */
function coverageNotes(layers: readonly CalibratedLayer[]): string[] {
  const experts = layers.reduce((sum, layer) => sum + layer.experts, 0);
  const total = (pick: (layer: CalibratedLayer) => readonly number[]) =>
    layers.reduce((sum, layer) => sum + pick(layer).length, 0);
  const never = total(({ coverage }) => coverage.neverChosen);
  const share = total(({ coverage }) => coverage.belowShare);
  const tokens = total(({ coverage }) => coverage.belowTokens);
  return [
    ...(never > 0 ? [`${never} of ${experts} experts were never chosen: the text says nothing about them.`] : []),
    ...(share > never ? [`${share} of ${experts} experts saw fewer than 0.5 % of the tokens.`] : []),
    ...(tokens > 0
      ? [
          `${tokens} of ${experts} experts saw fewer tokens than twice the inputs of their matrices: enough to rank them, too few to fit weights to.`,
        ]
      : []),
  ];
}
