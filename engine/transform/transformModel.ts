import { layerWithBlock } from '../families/layerWithBlock';
import type { ModelSpec, MoeBlockSpec } from '../families/specification';
import type { Plan } from '../protocol/plan';
import { gatesStage } from './gatesStage';
import { mergeStage } from './mergeStage';
import { pruneStage } from './pruneStage';
import { quantizeStage } from './quantizeStage';
import type { TransformContext, TransformStage } from './stage';

/** Sections of a plan that change weights, in the order in which they are applied. */
const stages: readonly TransformStage[] = [pruneStage, mergeStage, quantizeStage, gatesStage];

/** Whether a plan changes more than active experts. */
export function changesWeights(plan: Plan): boolean {
  return stages.some(({ section }) => plan[section] !== undefined);
}

/**
 * MoE blocks as a plan leaves them: prune, then merge, then quantize. Blocks that nothing changes keep their identity.
 * @throws TunerError `malformedPlan`, `unsupportedFeature`, `writeFailed`, `cancelled`
 */
export async function transformBlocks(
  blocks: readonly MoeBlockSpec[],
  plan: Plan,
  context: TransformContext,
): Promise<MoeBlockSpec[]> {
  let current = [...blocks];
  for (const stage of stages) {
    if (plan[stage.section] === undefined) {
      continue;
    }
    stage.check(current, plan, context.planFile);
    const next: MoeBlockSpec[] = [];
    for (const [position, block] of current.entries()) {
      next.push(await stage.apply(block, blocks[position]!, position, plan, context));
    }
    current = next;
  }
  return current;
}

/** The whole decoder with other MoE blocks, one per MoE layer in order. Unchanged layers keep their identity. */
export function withBlocks(model: ModelSpec, blocks: readonly MoeBlockSpec[]): ModelSpec {
  let position = 0;
  const layers = model.layers.map((layer) => {
    if (layer.feedForward.kind !== 'moe') {
      return layer;
    }
    const block = blocks[position]!;
    position += 1;
    return layerWithBlock(layer, block);
  });
  return { ...model, layers };
}
