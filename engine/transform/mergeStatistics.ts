import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { PlanMerge } from '../protocol/plan';
import type { MergeSamples } from './mergeGroup';
import { denseGates } from './mergeRuns';
import { plannedStatistics } from './plannedStatistics';
import type { TransformContext } from './stage';

/**
 * Block inputs kept in the statistics file that a plan names, and the router's gates for them.
 * @throws TunerError `fileNotFound`, `malformedPlan` where the file is not the one the plan was made from
 */
export async function mergeSamples(
  block: MoeBlockSpec,
  merge: PlanMerge,
  context: TransformContext,
): Promise<MergeSamples> {
  const { layers } = await plannedStatistics('merge', merge, context);
  const layer = layers.find(({ index }) => index === block.layer);
  if (layer?.hiddenSize !== block.hiddenSize || layer.sample.tokens === 0) {
    throw new TunerError('malformedPlan', `The statistics hold no inputs of decoder layer ${block.layer}.`, {
      file: context.planFile,
      place: 'merge.statisticsFile',
      wayOut: 'Let merge write this section anew.',
    });
  }
  const { inputs } = layer.sample;
  return { inputs, gates: await denseGates(block, inputs, context.job) };
}
