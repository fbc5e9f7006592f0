import { mostActiveExperts } from '../families/mostActiveExperts';
import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { Plan, PlanPrune } from '../protocol/plan';
import { plannedStatistics } from './plannedStatistics';
import { meanOutputs, replacedExperts, withReplaced } from './replacedExperts';
import { scaledBlock } from './scaledBlock';
import type { TransformContext, TransformStage } from './stage';

/**
 * Pruning as a change of the specification alone: fewer experts, and the router rows, biases and selection biases that belong to
 * them. No weight is copied. Where something stands for the experts that went, the router stays and their outputs change.
 */
export const pruneStage: TransformStage = {
  section: 'prune',
  check(blocks, plan, planFile) {
    const prune = plan.prune!;
    assertLayers('prune.keep', prune.keep.length, blocks.length, planFile);
    if (prune.correction !== undefined) {
      assertLayers('prune.correction', prune.correction.length, blocks.length, planFile);
    }
    prune.keep.forEach((keep, at) => {
      assertKept(blocks[at]!, keep, `prune.keep[${at}]`, planFile);
    });
    assertReplaceable(plan, planFile);
  },
  async apply(block, _, position, plan, context) {
    const { keep, correction, replacement } = plan.prune!;
    const kept = keep[position]!;
    if (replacement === undefined) {
      return prunedBlock(block, kept, correction?.[position]);
    }
    if (kept.length === block.experts.length) {
      return block;
    }
    const constants = replacement === 'constant' ? await constantsOf(block, plan.prune!, context) : undefined;
    return withReplaced(block, kept, await replacedExperts(block, constants, context.scratch));
  },
};

/** @throws TunerError `malformedPlan` where a replacement lacks its statistics, or meets sections that it does not go with */
function assertReplaceable({ prune, merge }: Plan, file: string): void {
  const { replacement, correction, statistics, statisticsFile } = prune!;
  const refuse = (place: string, message: string, wayOut: string) =>
    new TunerError('malformedPlan', message, { file, place, wayOut });
  if (replacement === undefined) {
    return;
  }
  if (replacement === 'constant' && (statisticsFile === undefined || statistics === undefined)) {
    throw refuse(
      'prune.statisticsFile',
      'The constants that stand for experts are their mean outputs on text.',
      'Name the statistics file and its hash, or let prune write this section anew.',
    );
  }
  if (correction !== undefined) {
    throw refuse('prune.correction', 'The router keeps all its rows, so no gate grows.', 'Leave the correction out.');
  }
  if (merge !== undefined) {
    throw refuse(
      'prune.replacement',
      'What stands for experts that went cannot be merged with others.',
      'Let prune write its section without a replacement, or leave the merge out.',
    );
  }
}

/** @throws TunerError `malformedPlan` where the statistics are of other layers, and those of reading them */
async function constantsOf(block: MoeBlockSpec, prune: PlanPrune, context: TransformContext): Promise<Float32Array> {
  const { layers } = await plannedStatistics('prune', prune, context);
  const layer = layers.find(({ index }) => index === block.layer);
  if (layer?.hiddenSize !== block.hiddenSize || layer.experts !== block.experts.length) {
    throw new TunerError('malformedPlan', `The statistics hold no outputs of decoder layer ${block.layer}.`, {
      file: context.planFile,
      place: 'prune.statisticsFile',
      wayOut: 'Let prune write this section anew.',
    });
  }
  return meanOutputs(layer);
}

/**
 * A block with some of its experts, and a factor on its routed output. The given one where nothing changes.
 * @param keep positions of the experts that stay, ascending
 */
export function prunedBlock(block: MoeBlockSpec, keep: readonly number[], scale?: number): MoeBlockSpec {
  const pruned = keep.length === block.experts.length ? block : withExperts(block, keep);
  return scaledBlock(pruned, scale);
}

/** A block with some of its experts, given by their positions in it, and their rows of the router. */
export function withExperts(block: MoeBlockSpec, positions: readonly number[]): MoeBlockSpec {
  const rows = block.router.keptRows;
  const experts = positions.map((position) => block.experts[position]!);
  return {
    ...block,
    experts,
    activeExperts: Math.min(block.activeExperts, experts.length, mostActiveExperts({ ...block, experts })),
    router: { ...block.router, keptRows: positions.map((position) => rows?.[position] ?? position) },
  };
}

/** @throws TunerError `malformedPlan` where a list does not have one entry per MoE layer */
export function assertLayers(place: string, found: number, layers: number, file: string): void {
  if (found !== layers) {
    throw new TunerError('malformedPlan', `The plan lists ${found} layers, the checkpoint has ${layers} MoE layers.`, {
      file,
      place,
      wayOut: `Give one entry per MoE layer in order: ${layers}.`,
    });
  }
}

/**
 * Experts that stay must exist, ascend, and fill the groups of the router evenly, because routers cut their scores into groups of
 * equal size.
 */
export function assertKept(block: MoeBlockSpec, keep: readonly number[], place: string, file: string): void {
  const wrong = keep.findIndex((expert, at) => expert >= block.experts.length || (at > 0 && keep[at - 1]! >= expert));
  if (wrong !== -1) {
    throw new TunerError('malformedPlan', `Decoder layer ${block.layer} cannot keep expert ${keep[wrong]} there.`, {
      file,
      place: `${place}[${wrong}]`,
      wayOut: `List experts from 0 to ${block.experts.length - 1} in ascending order, each once.`,
    });
  }
  const { groups } = block.router;
  if (groups === undefined) {
    return;
  }
  const size = block.experts.length / groups.count;
  const counts = Array.from(
    { length: groups.count },
    (_, group) => keep.filter((expert) => Math.floor(expert / size) === group).length,
  );
  const least = groups.score === 'top2-sum' ? 2 : 1;
  if (counts.some((count) => count !== counts[0] || count < least)) {
    throw new TunerError(
      'malformedPlan',
      `The router of decoder layer ${block.layer} chooses among ${groups.count} groups of equal size; the plan keeps ${counts.join(', ')} experts in them.`,
      { file, place, wayOut: `Keep the same number in every group, at least ${least}.` },
    );
  }
}

/** Experts that are left per MoE layer, in ids of the checkpoint; all of them where the plan prunes nothing or replaces what goes. */
export function keptExperts(plan: Plan, blocks: readonly MoeBlockSpec[]): readonly (readonly number[])[] {
  const { prune } = plan;
  return prune !== undefined && prune.replacement === undefined
    ? prune.keep
    : blocks.map(({ experts }) => experts.map((_, expert) => expert));
}
