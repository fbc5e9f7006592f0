import { fromFloat32 } from '../checkpoint/encodeDtype';
import type { TensorEntry } from '../checkpoint/types';
import type { FeedForwardSpec, LinearSpec, MoeBlockSpec } from '../families/specification';
import type { LayerStatistics } from '../methods/statistics';
import type { ScratchWeights } from './scratchWeights';
import { computedDtype, floatDtype } from './writeWeight';

/** Both forms of every expert of a block, by position. */
export interface ReplacedExperts {
  /** As they are where they stay. */
  readonly kept: readonly FeedForwardSpec[];
  /** What stands where they went: the router still chooses it. */
  readonly gone: readonly FeedForwardSpec[];
}

/**
 * Experts whose output is one vector whatever their input: a down projection of zeros with that vector as bias. With constants every
 * down projection of the block gets a bias, of zeros where the expert stays, because operators for all experts take one for all or none.
 * @param constants output of each expert that goes, `[experts, hidden]`; zero where absent
 * @throws TunerError `writeFailed`
 */
export async function replacedExperts(
  block: MoeBlockSpec,
  constants: Float32Array | undefined,
  scratch: ScratchWeights,
): Promise<ReplacedExperts> {
  const { layer, hiddenSize, experts } = block;
  const { down } = experts[0]!;
  const shape =
    down.orientation === 'output-major' ? [down.outputSize, down.inputSize] : [down.inputSize, down.outputSize];
  const dtype = computedDtype(down.weight);
  const nothing = new Float32Array(down.outputSize * down.inputSize);
  // All experts of a block have the same sizes: one matrix of zeros serves them.
  const zeros = await scratch.write(`layers.${layer}.replaced.down`, dtype, shape, fromFloat32(dtype, nothing));
  const bias = async (like: TensorEntry | undefined, values: Float32Array, name: string) => {
    const own = like === undefined ? 'F32' : floatDtype(like.dtype);
    return scratch.write(`layers.${layer}.replaced.${name}`, own, [hiddenSize], fromFloat32(own, values));
  };
  const withDown = (network: FeedForwardSpec, change: Partial<LinearSpec>): FeedForwardSpec => ({
    ...network,
    down: { ...network.down, ...change },
  });
  const noBias =
    constants !== undefined && experts.some((network) => network.down.bias === undefined)
      ? await bias(undefined, new Float32Array(hiddenSize), 'none')
      : undefined;
  const kept = experts.map((network) =>
    noBias === undefined || network.down.bias !== undefined ? network : withDown(network, { bias: noBias }),
  );
  const gone: FeedForwardSpec[] = [];
  for (const [expert, network] of experts.entries()) {
    const own = network.down.bias;
    const values =
      constants?.slice(expert * hiddenSize, (expert + 1) * hiddenSize) ??
      (own === undefined ? undefined : new Float32Array(hiddenSize));
    gone.push(
      withDown(network, {
        weight: { storage: 'plain', entry: zeros },
        bias: values === undefined ? undefined : await bias(own, values, `bias.${expert}`),
      }),
    );
  }
  return { kept, gone };
}

/** A block whose router is as it was, and whose experts outside `keep` are replaced. The given one where all stay. */
export function withReplaced(
  block: MoeBlockSpec,
  keep: readonly number[],
  { kept, gone }: ReplacedExperts,
): MoeBlockSpec {
  if (keep.length === block.experts.length) {
    return block;
  }
  const stays = new Set(keep);
  return { ...block, experts: kept.map((network, expert) => (stays.has(expert) ? network : gone[expert]!)) };
}

/**
 * Mean un-gated output of every expert over the tokens that chose it, `[experts, hidden]`: the constant that changes the sum of outputs
 * least (the novice of MoNE, arXiv 2507.00390). Zero for an expert that no token chose.
 */
export function meanOutputs({
  outputSums,
  total: { counts },
  hiddenSize,
}: Pick<LayerStatistics, 'outputSums' | 'total' | 'hiddenSize'>): Float32Array {
  return outputSums.map((sum, at) => {
    const count = counts[Math.floor(at / hiddenSize)]!;
    return count > 0 ? sum / count : 0;
  });
}
