import path from 'node:path';
import { writeStatistics } from '../measure/calibration/statisticsFile';
import type { JobContext } from '../measure/jobContext';
import type { MergeMethod } from '../methods/merge/method';
import type { CalibrationStatistics } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import type { MergeParams, ResolvedMergeOptions } from '../protocol/merging';
import { planFileSuffix } from '../protocol/plan';
import { needsSamples } from '../transform/mergeStage';
import { fileHash } from '../transform/plannedStatistics';
import { collectStatistics, loadStatistics } from './collectStatistics';
import type { OpenModel } from './openModel';
import { rankingTokens } from './rankingTokens';
import type { EngineServices } from './services';

/** What groups are chosen by, and the file that merging reads again whenever the plan is used. */
export interface MergeInputs {
  readonly statistics: CalibrationStatistics;
  readonly file?: string | undefined;
  readonly hash?: string | undefined;
}

/**
 * Statistics from the file that was given, or from a calibration pass over the text. Ways to merge that read the kept inputs again
 * need a file: then the pass is written beside the plan.
 * @throws TunerError `usage` where the statistics lack what the method compares, `statisticsForAnotherCheckpoint`, `writeFailed`, and
 * those of calibrating
 */
export async function mergeInputs(
  params: MergeParams,
  method: MergeMethod,
  options: ResolvedMergeOptions,
  model: OpenModel,
  services: EngineServices,
  job: JobContext,
): Promise<MergeInputs> {
  if (params.stats !== undefined) {
    const file = path.resolve(params.stats);
    const { statistics } = await loadStatistics(file, model);
    if (method.needs === 'dense-outputs' && statistics.layers.some(({ dense }) => dense === undefined)) {
      throw new TunerError('usage', `The method "${method.name}" compares what all experts do on the same tokens.`, {
        file,
        place: '--stats',
        wayOut: 'Calibrate again without --no-dense.',
      });
    }
    return { statistics, file, hash: await fileHash(file) };
  }
  const { text, length, windows, perDocument, sample, seed } = params;
  const dense = method.needs === 'dense-outputs';
  const asked = {
    text,
    length,
    windows,
    tokens: rankingTokens(params),
    perDocument,
    sample,
    dense,
    // No method of merging reads them; with them the pass is the one that pruning makes.
    taskPairs: true,
    trace: false,
    seed,
  };
  const collected = await collectStatistics(model, asked, services, job);
  if (params.out === undefined || !needsSamples(options)) {
    return { statistics: collected.statistics };
  }
  const file = besidePlan(path.resolve(params.out));
  await writeStatistics(file, collected);
  return { statistics: collected.statistics, file, hash: await fileHash(file) };
}

/** `NAME.moeplan.json` has its statistics in `NAME.statistics.safetensors`. */
function besidePlan(plan: string): string {
  const stem = plan.endsWith(planFileSuffix) ? plan.slice(0, -planFileSuffix.length) : plan.replace(/\.json$/, '');
  return `${stem}.statistics.safetensors`;
}
