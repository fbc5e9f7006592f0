import type { MergeResult, MergeRun } from '../protocol/merging';
import type { OpenModel } from './openModel';
import type { EngineServices } from './services';

/** Keeps in the history what a run decided and how near to the model its merge was measured, without the groups. */
export async function keepMergeRun(model: OpenModel, services: EngineServices, result: MergeResult): Promise<void> {
  const { fingerprint, method, ratio, options, kept, keptExpertBytes, seconds, plan } = result;
  const own = result.comparison?.find(({ kind, refit }) => kind === 'merge' && refit === options.refit);
  const run: MergeRun = {
    fingerprint,
    method,
    ratio,
    refit: options.refit,
    kept,
    keptExpertBytes,
    ...(own === undefined ? {} : { measured: own.measured }),
    ...(result.comparisonTokens === undefined ? {} : { measuredTokens: result.comparisonTokens }),
    seconds,
    ...(plan === undefined ? {} : { plan }),
    finished: new Date().toISOString(),
  };
  await services.cache.addResult(model.resultsKey, 'merging', run);
}
