import type { StatisticsFile } from '../measure/calibration/statisticsFile';
import type { JobContext } from '../measure/jobContext';
import { assertTags, nearestTask } from '../methods/prune/selectSums';
import type { CalibrationStatistics } from '../methods/statistics';
import { defaultCalibrationSample } from '../protocol/calibration';
import type { PruneParams } from '../protocol/pruning';
import { fileHash } from '../transform/plannedStatistics';
import { partOfJob } from './budgetTables';
import { collectStatistics, loadStatistics } from './collectStatistics';
import { rankingTokens } from './rankingTokens';
import type { OpenModel } from './openModel';
import type { EngineServices } from './services';

/** Statistics that experts are ranked by, and which part of them. */
export interface PruneStatistics {
  readonly statistics: CalibrationStatistics;
  /** The same with what a file of them says about its text. */
  readonly collected: StatisticsFile;
  /** Tasks or domains that were chosen; all texts when empty. */
  readonly tags: readonly string[];
  /** SHA-256 of the statistics file, when they come from one. */
  readonly hash?: string | undefined;
  /** The stored task that was nearest to the text it was looked up by. */
  readonly retrieved?: { readonly task: string; readonly distance: number } | undefined;
}

/** Share of the progress that the pass over the query takes. */
const queryShare = 0.3;

/**
 * Statistics from the given file, or from a calibration on the given text (from the cache where the same text was seen before); undefined
 * when neither was given.
 * @throws TunerError `usage` for an unknown task, `statisticsForAnotherCheckpoint`, and those of calibrating
 */
export async function pruneStatistics(
  params: PruneParams,
  model: OpenModel,
  services: EngineServices,
  job: JobContext,
): Promise<PruneStatistics | undefined> {
  const { stats, text, task, retrieve, length, windows, perDocument, seed } = params;
  const tokens = rankingTokens(params);
  if (stats === undefined && text.length === 0) {
    return undefined;
  }
  const passes = {
    length,
    windows,
    tokens,
    perDocument,
    seed,
    sample: defaultCalibrationSample,
    dense: true,
    taskPairs: true,
    trace: false,
  };
  const own = retrieve.length === 0 ? job : partOfJob(job, 0, 1 - queryShare);
  const collected =
    stats === undefined
      ? await collectStatistics(model, { ...passes, text }, services, own)
      : await loadStatistics(stats, model);
  const { statistics } = collected;
  assertTags(statistics, task);
  const hash = stats === undefined ? undefined : await fileHash(stats);
  if (retrieve.length === 0) {
    return { statistics, collected, tags: [...new Set(task)], hash };
  }
  const query = await collectStatistics(
    model,
    { ...passes, text: retrieve },
    services,
    partOfJob(job, 1 - queryShare, 1),
  );
  const retrieved = nearestTask(statistics, query.statistics.layers[0]!);
  return { statistics, collected, tags: [retrieved.task], hash, retrieved };
}
