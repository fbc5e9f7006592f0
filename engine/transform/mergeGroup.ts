import type { MoeBlockSpec, FeedForwardSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import { alignByActivations, alignByWeights, permuteChannels } from '../methods/merge/alignment';
import { ExpertAverage } from '../methods/merge/averageExperts';
import { lowRankAndSparse, rankOfShare } from '../methods/merge/lowRank';
import type { MatrixProduct } from '../methods/merge/matrixProduct';
import type { ResolvedMergeOptions } from '../protocol/merging';
import { refitGroup } from './mergeRefit';
import { runNetwork } from './mergeRuns';
import { readFeedForward, type FeedForwardWeights } from './readWeight';
import type { ScratchWeights } from './scratchWeights';
import { writeFeedForward } from './writeWeight';

/** Members of one merged expert, as positions in their block, and their shares, which sum to 1. */
export interface MergeGroup {
  readonly members: readonly number[];
  readonly shares: readonly number[];
}

/** Block inputs kept from calibration, and what the router makes of them. */
export interface MergeSamples {
  /** `[tokens, hidden]`. */
  readonly inputs: Float32Array;
  /** `[tokens, experts]` by position in the block, 0 where an expert is not chosen. */
  readonly gates: Float32Array;
}

export interface MergeTools {
  readonly scratch: ScratchWeights;
  readonly job: JobContext;
  readonly product: MatrixProduct;
}

/** The one expert that a group of a block becomes; computed weights go to scratch files. A group of one is left as it is. */
export async function mergeGroup(
  block: MoeBlockSpec,
  group: MergeGroup,
  options: ResolvedMergeOptions,
  samples: MergeSamples | undefined,
  tools: MergeTools,
): Promise<FeedForwardSpec> {
  const networks = group.members.map((member) => block.experts[member]!);
  const [first] = networks;
  if (networks.length === 1) {
    return first!;
  }
  const name = `layers.${block.layer}.merged.${group.members[0]}`;
  const average = await averageOf(block, networks, group.shares, options, samples, tools);
  const weights = options.rank === undefined ? average : await compressed(average, options, tools.product);
  const merged = await writeFeedForward(tools.scratch, name, weights, first!);
  if (options.refit === 'none' || options.refit === 'layer') {
    return merged;
  }
  return refitGroup(block, group, { network: merged, weights }, options, samples!, tools);
}

async function averageOf(
  block: MoeBlockSpec,
  networks: readonly FeedForwardSpec[],
  shares: readonly number[],
  { alignment }: ResolvedMergeOptions,
  samples: MergeSamples | undefined,
  { product, job }: MergeTools,
): Promise<FeedForwardWeights> {
  const reference = await readFeedForward(networks[0]!);
  const activations = async (network: FeedForwardSpec) =>
    (await runNetwork(network, block.activation, samples!.inputs, job)).intermediate;
  const referenceActivations = alignment === 'activations' ? await activations(networks[0]!) : undefined;
  const average = new ExpertAverage();
  average.add(reference, shares[0]!);
  for (const [at, network] of networks.entries()) {
    // Members that were never used add nothing.
    if (at === 0 || shares[at] === 0) {
      continue;
    }
    const member = await readFeedForward(network);
    const order =
      alignment === 'weights'
        ? await alignByWeights(reference, member, product)
        : alignment === 'activations'
          ? await alignByActivations(reference, member, [referenceActivations!, await activations(network)], product)
          : undefined;
    average.add(order === undefined ? member : permuteChannels(member, order), shares[at]!);
  }
  return average.result();
}

/** Every matrix as a low-rank part and some rows of the rest. */
async function compressed(
  weights: FeedForwardWeights,
  options: ResolvedMergeOptions,
  product: MatrixProduct,
): Promise<FeedForwardWeights> {
  const { hiddenSize, width } = weights;
  const rank = rankOfShare(options.rank!, hiddenSize, width);
  const one = (matrix: Float32Array, rows: number, columns: number) =>
    lowRankAndSparse(matrix, rows, columns, rank, options.sparse ?? 0, product);
  return {
    ...weights,
    gate: weights.gate === undefined ? undefined : await one(weights.gate, width, hiddenSize),
    up: await one(weights.up, width, hiddenSize),
    down: await one(weights.down, hiddenSize, width),
  };
}
