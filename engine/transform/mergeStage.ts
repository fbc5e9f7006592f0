import type { MoeBlockSpec } from '../families/specification';
import { shares } from '../methods/merge/averageExperts';
import { TunerError } from '../protocol/errors';
import { mergeOptionsSchema, type ResolvedMergeOptions } from '../protocol/merging';
import type { Plan, PlanMerge } from '../protocol/plan';
import { mergeGroup, type MergeGroup } from './mergeGroup';
import { refitLayer } from './mergeLayerRefit';
import { withMergedExperts } from './mergeRouter';
import { RuntimeProducts } from './mergeRuns';
import { mergeSamples } from './mergeStatistics';
import { assertKept, assertLayers } from './pruneStage';
import type { TransformContext, TransformStage } from './stage';

/** Merging: the weights of each group are computed and written to scratch files; experts alone in their group are left as they are. */
export const mergeStage: TransformStage = {
  section: 'merge',
  check(blocks, plan, planFile) {
    const merge = plan.merge!;
    const options = readOptions(merge, planFile);
    assertLayers('merge.groups', merge.groups.length, blocks.length, planFile);
    if (merge.weights !== undefined) {
      assertLayers('merge.weights', merge.weights.length, blocks.length, planFile);
    }
    blocks.forEach((block, position) => {
      assertGroups(block, merge, position, options, planFile);
    });
  },
  async apply(block, _, position, plan, context) {
    const merge = plan.merge!;
    const options = readOptions(merge, context.planFile);
    const groups = positionsOf(block, merge, position);
    if (groups.every(({ members }) => members.length === 1)) {
      return block;
    }
    context.job.progress(position / merge.groups.length, `Merging experts of layer ${block.layer}`);
    return mergeBlock(block, groups, options, plan, context);
  },
};

async function mergeBlock(
  block: MoeBlockSpec,
  groups: readonly MergeGroup[],
  options: ResolvedMergeOptions,
  plan: Plan,
  context: TransformContext,
): Promise<MoeBlockSpec> {
  const { scratch, job } = context;
  const samples = needsSamples(options) ? await mergeSamples(block, plan.merge!, context) : undefined;
  const products = new RuntimeProducts(job);
  try {
    const tools = { scratch, job, product: products.product };
    const merged = [];
    for (const group of groups) {
      merged.push(await mergeGroup(block, group, options, samples, tools));
    }
    const fitted =
      options.refit === 'layer' ? await refitLayer(block, groups, merged, options, samples!, tools) : merged;
    return await withMergedExperts(block, groups, fitted, options.router, scratch);
  } finally {
    await products.dispose();
  }
}

/** Whether merging runs experts on inputs kept from calibration. */
export function needsSamples({ alignment, refit }: ResolvedMergeOptions): boolean {
  return alignment === 'activations' || refit !== 'none';
}

/** Groups of the plan, which are ids of the checkpoint, as positions in a block that may have been pruned. */
function positionsOf(block: MoeBlockSpec, merge: PlanMerge, position: number): MergeGroup[] {
  const positions = new Map(expertIds(block).map((id, at) => [id, at]));
  return merge.groups[position]!.map((group, at) => ({
    members: group.map((id) => positions.get(id)!),
    shares: shares(merge.weights?.[position]?.[at], group.length),
  }));
}

/** Ids in the checkpoint of the experts that a block has left. */
function expertIds({ router, experts }: MoeBlockSpec): readonly number[] {
  return router.keptRows ?? experts.map((_, at) => at);
}

function readOptions(merge: PlanMerge, file: string): ResolvedMergeOptions {
  const parsed = mergeOptionsSchema.safeParse(merge.options ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new TunerError('malformedPlan', `The option is impossible: ${issue?.message ?? ''}.`, {
      file,
      place: ['merge.options', ...(issue?.path ?? [])].join('.'),
      wayOut: 'Let merge write this section anew.',
    });
  }
  const options = parsed.data;
  if (options.rank !== undefined && options.refit !== 'none') {
    throw new TunerError('malformedPlan', 'A refitted projection is not of low rank.', {
      file,
      place: 'merge.options.rank',
      wayOut: 'Use either rank or refit.',
    });
  }
  if (needsSamples(options) && (merge.statisticsFile === undefined || merge.statistics === undefined)) {
    throw new TunerError('malformedPlan', 'Merging this way runs experts on the inputs kept from calibration.', {
      file,
      place: 'merge.statisticsFile',
      wayOut: 'Name the statistics file and its hash, or let merge write this section anew.',
    });
  }
  return options;
}

/** Every remaining expert is in exactly one group, groups are in the order of their first members, weights fit them. */
function assertGroups(
  block: MoeBlockSpec,
  merge: PlanMerge,
  position: number,
  options: ResolvedMergeOptions,
  file: string,
): void {
  const place = `merge.groups[${position}]`;
  const groups = merge.groups[position]!;
  const refuse = (at: string, message: string, wayOut: string) =>
    new TunerError('malformedPlan', `Decoder layer ${block.layer}: ${message}`, { file, place: at, wayOut });
  const positions = new Map(expertIds(block).map((id, at) => [id, at]));
  const seen = new Set<number>();
  for (const [at, group] of groups.entries()) {
    for (const id of group) {
      if (!positions.has(id) || seen.has(id)) {
        const why = seen.has(id) ? 'is in two groups' : 'is not there (pruned, or never was)';
        throw refuse(`${place}[${at}]`, `expert ${id} ${why}.`, 'List every remaining expert in exactly one group.');
      }
      seen.add(id);
    }
    const weights = merge.weights?.[position]?.[at];
    if (merge.weights !== undefined && (weights?.length !== group.length || weights.some((weight) => weight < 0))) {
      throw refuse(
        `merge.weights[${position}][${at}]`,
        'a group needs one weight of at least 0 per member.',
        'Give one per member.',
      );
    }
  }
  if (seen.size !== positions.size) {
    const missing = [...positions.keys()].filter((id) => !seen.has(id));
    throw refuse(place, `no group has expert ${missing[0]}.`, 'List every remaining expert in exactly one group.');
  }
  if (merge.weights !== undefined && merge.weights[position]!.length !== groups.length) {
    throw refuse(`merge.weights[${position}]`, 'the lists of weights are not parallel to the groups.', 'Make them so.');
  }
  if (options.router !== 'all') {
    assertKept(
      block,
      groups.map((group) => positions.get(group[0]!)!),
      place,
      file,
    );
  }
}
