import path from 'node:path';
import type { MergeResult } from '../protocol/merging';
import type { PlanMerge } from '../protocol/plan';
import { needsSamples } from '../transform/mergeStage';
import type { MergeInputs } from './mergeInputs';

/**
 * The section of a plan that says how experts become one.
 * @param planFile the plan, which names its statistics file from where it lies
 */
export function mergeSection(
  result: Pick<MergeResult, 'method' | 'ratio' | 'layers' | 'options' | 'calibrationTokens' | 'seed'>,
  known: MergeInputs,
  planFile: string,
): PlanMerge {
  return {
    method: result.method,
    ratio: result.ratio,
    groups: result.layers.map(({ groups }) => groups),
    weights: result.layers.map(({ weights }) => weights),
    options: JSON.parse(JSON.stringify(result.options)) as NonNullable<PlanMerge['options']>,
    calibrationTokens: result.calibrationTokens,
    ...(known.hash === undefined ? {} : { statistics: known.hash }),
    ...(known.file === undefined || !needsSamples(result.options)
      ? {}
      : { statisticsFile: path.relative(path.dirname(planFile), known.file) }),
    seed: result.seed,
  };
}
