import type { Dtype, TensorEntry } from '../checkpoint/types';
import { readTensorFloat32 } from '../checkpoint/readTensor';
import { fromFloat32 } from '../checkpoint/encodeDtype';
import type { FeedForwardSpec, MoeBlockSpec, RouterSpec } from '../families/specification';
import { weightShape } from '../graph/weights';
import type { ResolvedMergeOptions } from '../protocol/merging';
import { decodeStoredWeight } from './decodeWeight';
import type { MergeGroup } from './mergeGroup';
import { withExperts } from './pruneStage';
import type { ScratchWeights } from './scratchWeights';
import { computedDtype, floatDtype } from './writeWeight';

/**
 * A block whose groups have become `merged`, in the order of the groups, and the router that leads to them: the first row of each
 * group, their weighted means, or all rows, each leading to the expert its own became.
 */
export async function withMergedExperts(
  block: MoeBlockSpec,
  groups: readonly MergeGroup[],
  merged: readonly FeedForwardSpec[],
  rows: ResolvedMergeOptions['router'],
  scratch: ScratchWeights,
): Promise<MoeBlockSpec> {
  if (rows === 'all') {
    const experts = [...block.experts];
    groups.forEach(({ members }, at) => {
      members.forEach((member) => {
        experts[member] = merged[at]!;
      });
    });
    return { ...block, experts };
  }
  const firsts = groups.map(({ members }) => members[0]!);
  const shortened = { ...withExperts(block, firsts), experts: merged };
  return rows === 'first'
    ? shortened
    : { ...shortened, router: await withMeanRows(block.router, block.layer, groups, scratch) };
}

/** Router rows, biases and selection biases as weighted means over the members of each group. */
async function withMeanRows(
  router: RouterSpec,
  layer: number,
  groups: readonly MergeGroup[],
  scratch: ScratchWeights,
): Promise<RouterSpec> {
  const stored = await decodeStoredWeight(router.weight);
  const kept = router.keptRows;
  const columns = weightShape(router.weight)[1]!;
  const means = (values: Float32Array, columns: number): Float32Array => {
    const result = new Float64Array(groups.length * columns);
    groups.forEach(({ members, shares }, group) => {
      members.forEach((member, at) => {
        const row = kept?.[member] ?? member;
        for (let column = 0; column < columns; column += 1) {
          result[group * columns + column]! += shares[at]! * values[row * columns + column]!;
        }
      });
    });
    return Float32Array.from(result);
  };
  const write = (name: string, dtype: Dtype, shape: readonly number[], values: Float32Array) => {
    const stored = floatDtype(dtype);
    return scratch.write(`layers.${layer}.merged.router.${name}`, stored, shape, fromFloat32(stored, values));
  };
  const vector = async (name: string, entry: TensorEntry | undefined) =>
    entry === undefined
      ? undefined
      : write(name, entry.dtype, [groups.length], means(await readTensorFloat32(entry), 1));
  const dtype = computedDtype(router.weight);
  const entry = await write('weight', dtype, [groups.length, columns], means(stored, columns));
  return {
    ...router,
    weight: { storage: 'plain', entry },
    keptRows: undefined,
    bias: await vector('bias', router.bias),
    selectionBias: await vector('selection_bias', router.selectionBias),
  };
}
