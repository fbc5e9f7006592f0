import path from 'node:path';
import type { JobContext } from '../measure/jobContext';
import type { MergeMethod } from '../methods/merge/method';
import type { ComparedModel, MergedLayer, MergeParams, ResolvedMergeOptions } from '../protocol/merging';
import type { Plan } from '../protocol/plan';
import { comparePlans, comparisonText, type ComparisonText, type PlanToCompare } from './mergeComparison';
import type { MergeInputs } from './mergeInputs';
import { mergeSection } from './mergeSection';
import type { OpenModel } from './openModel';
import type { EngineServices } from './services';

/** Refits between which the measurement decides where the method has one and the person named none. */
const measuredRefits = ['routed', 'layer'] as const;

export interface MergeToMeasure {
  readonly params: MergeParams;
  readonly method: MergeMethod;
  readonly options: ResolvedMergeOptions;
  readonly merged: readonly MergedLayer[];
  readonly known: MergeInputs;
  /** What the plan does before merging. */
  readonly base: Pick<Plan, 'prune'>;
  /** Other plans of the same size. */
  readonly others: () => readonly PlanToCompare[];
}

export interface MeasuredMerge {
  /** The options of the merge that stayed nearest to the model. */
  readonly options: ResolvedMergeOptions;
  /** Everything measured, nearest to the model first. */
  readonly comparison: readonly ComparedModel[];
  readonly text: ComparisonText;
}

/**
 * Measures a merge beside pruning to the same size, on text that the calibration left out where there is enough of it, and decides
 * between refits by the same measurement. Undefined without text or a plan to write, and where the person wants none.
 */
export async function compareMerge(
  { params, method, options, merged, known, base, others }: MergeToMeasure,
  model: OpenModel,
  services: EngineServices,
  job: JobContext,
): Promise<MeasuredMerge | undefined> {
  if (!params.compare || params.text.length === 0 || params.out === undefined || params.ratio === 0) {
    return undefined;
  }
  const planFile = path.resolve(params.out);
  const open = params.refit === undefined && method.defaults.refit !== undefined;
  const refits = open ? measuredRefits : [options.refit];
  const plans = refits.map((refit): PlanToCompare => {
    const decided = {
      method: params.method,
      ratio: params.ratio,
      layers: [...merged],
      options: { ...options, refit },
      calibrationTokens: known.statistics.tokens,
      seed: params.seed,
    };
    const name = refit === 'none' ? params.method : `${params.method} with refit "${refit}"`;
    return { name, kind: 'merge', refit, plan: { version: 1, ...base, merge: mergeSection(decided, known, planFile) } };
  });
  const text = await comparisonText(params, model);
  const comparison = await comparePlans([...plans, ...others()], text, model, planFile, services, job);
  const best = comparison.find(({ kind }) => kind === 'merge')!;
  return { options: { ...options, refit: best.refit! }, comparison, text };
}
