import type { FeedForwardSpec, MoeBlockSpec } from '../families/specification';
import { refitDown, type RefitSamples } from '../methods/merge/refitDown';
import type { ResolvedMergeOptions } from '../protocol/merging';
import type { MergeGroup, MergeSamples, MergeTools } from './mergeGroup';
import { runNetwork } from './mergeRuns';
import type { FeedForwardWeights } from './readWeight';
import { writeLinearLike } from './writeWeight';

/** A merged expert before its refit: as it is stored, and its numbers. */
interface MergedExpert {
  readonly network: FeedForwardSpec;
  readonly weights: FeedForwardWeights;
}

/** The merged expert with a down projection fitted to what its members compute (MergeMoE). */
export async function refitGroup(
  block: MoeBlockSpec,
  group: MergeGroup,
  { network, weights }: MergedExpert,
  options: ResolvedMergeOptions,
  samples: MergeSamples,
  tools: MergeTools,
): Promise<FeedForwardSpec> {
  const fitted =
    options.refit === 'routed'
      ? await routedSamples(block, group, network, samples, tools)
      : await averageSamples(block, group, network, samples, tools);
  if (fitted === undefined) {
    return network;
  }
  const { change, ridge, before, after } = await refitDown(fitted, tools.product, options.ridge);
  tools.job.log(
    'debug',
    `Layer ${block.layer}, expert ${group.members[0]}: squared error ${before.toPrecision(3)} → ${after.toPrecision(3)}, ridge ${ridge ?? 'none'}`,
  );
  if (change === undefined) {
    return network;
  }
  const down = weights.down.map((value, at) => value + change[at]!);
  const like = block.experts[group.members[0]!]!.down;
  const written = await writeLinearLike(
    tools.scratch,
    `layers.${block.layer}.merged.${group.members[0]}.refitted.down`,
    down,
    [weights.hiddenSize, weights.width],
    like,
    weights.downBias,
  );
  return { ...network, down: written };
}

/**
 * What the members add to the layer's output on the tokens that chose any of them, Σ g_i f_i(x), against Σ g_i times the merged
 * expert: the error that merging makes in the layer. Gates on the input of experts (Llama-4) are multiplied there.
 */
async function routedSamples(
  block: MoeBlockSpec,
  { members }: MergeGroup,
  merged: FeedForwardSpec,
  { inputs, gates }: MergeSamples,
  { job }: MergeTools,
): Promise<RefitSamples | undefined> {
  const { hiddenSize } = block;
  const experts = block.experts.length;
  const onInput = block.router.apply === 'input';
  const allTokens = Array.from({ length: inputs.length / hiddenSize }, (_, token) => token);
  const gate = (token: number, member: number) => gates[token * experts + member]!;
  const mass = (token: number) => members.reduce((sum, member) => sum + gate(token, member), 0);
  const tokens = allTokens.filter((token) => mass(token) !== 0);
  if (tokens.length === 0) {
    return undefined;
  }
  const rowOf = new Map(tokens.map((token, row) => [token, row]));
  const target = new Float32Array(tokens.length * hiddenSize);
  for (const member of members) {
    const own = tokens.filter((token) => gate(token, member) !== 0);
    if (own.length === 0) {
      continue;
    }
    const x = inputRows(inputs, own, hiddenSize, onInput ? own.map((token) => gate(token, member)) : undefined);
    const { y } = await runNetwork(block.experts[member]!, block.activation, x, job);
    own.forEach((token, row) => {
      const factor = onInput ? 1 : gate(token, member);
      const start = rowOf.get(token)! * hiddenSize;
      for (let at = 0; at < hiddenSize; at += 1) {
        target[start + at]! += factor * y[row * hiddenSize + at]!;
      }
    });
  }
  const x = inputRows(inputs, tokens, hiddenSize, onInput ? tokens.map(mass) : undefined);
  const { intermediate, y } = await runNetwork(merged, block.activation, x, job);
  const width = merged.down.inputSize;
  tokens.forEach((token, row) => {
    const factor = onInput ? 1 : mass(token);
    for (let at = 0; at < hiddenSize; at += 1) {
      target[row * hiddenSize + at]! -= factor * y[row * hiddenSize + at]!;
    }
    for (let at = row * width; at < (row + 1) * width; at += 1) {
      intermediate[at]! *= factor;
    }
  });
  return { tokens: tokens.length, width, hiddenSize, activations: intermediate, residual: target };
}

/** The weighted mean of the members' outputs on all sampled tokens, Σ w_i f_i(x), less the output of the merged expert. */
async function averageSamples(
  block: MoeBlockSpec,
  { members, shares }: MergeGroup,
  merged: FeedForwardSpec,
  { inputs }: MergeSamples,
  { job }: MergeTools,
): Promise<RefitSamples | undefined> {
  if (inputs.length === 0) {
    return undefined;
  }
  const { intermediate, y } = await runNetwork(merged, block.activation, inputs, job);
  const residual = y.map((value) => -value);
  for (const [at, member] of members.entries()) {
    const run = await runNetwork(block.experts[member]!, block.activation, inputs, job);
    run.y.forEach((value, position) => {
      residual[position]! += shares[at]! * value;
    });
  }
  const { hiddenSize } = block;
  const tokens = inputs.length / hiddenSize;
  return { tokens, width: merged.down.inputSize, hiddenSize, activations: intermediate, residual };
}

/** Rows `[tokens, width]` of some tokens, each times a factor. */
export function inputRows(
  values: Float32Array,
  tokens: readonly number[],
  width: number,
  factors?: readonly number[],
): Float32Array {
  const rows = new Float32Array(tokens.length * width);
  tokens.forEach((token, row) => {
    const by = factors?.[row] ?? 1;
    for (let at = 0; at < width; at += 1) {
      rows[row * width + at] = by * values[token * width + at]!;
    }
  });
  return rows;
}
