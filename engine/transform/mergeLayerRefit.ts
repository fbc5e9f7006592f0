import type { FeedForwardSpec, MoeBlockSpec } from '../families/specification';
import { refitDown } from '../methods/merge/refitDown';
import type { ResolvedMergeOptions } from '../protocol/merging';
import type { MergeGroup, MergeSamples, MergeTools } from './mergeGroup';
import { withMergedExperts } from './mergeRouter';
import { denseGates, runNetwork } from './mergeRuns';
import { inputRows } from './mergeRefit';
import { readFeedForward } from './readWeight';
import { writeLinearLike } from './writeWeight';

/**
 * Merged experts with down projections fitted one after the other to what the layer still lacks: each by least squares on the tokens
 * that the merged router sends to it, against the routed output of the layer as it was, less what all merged experts compute. The
 * error on the samples falls with every step. Experts alone in their group stay as they are.
 */
export async function refitLayer(
  block: MoeBlockSpec,
  groups: readonly MergeGroup[],
  merged: readonly FeedForwardSpec[],
  options: ResolvedMergeOptions,
  { inputs, gates }: MergeSamples,
  tools: MergeTools,
): Promise<FeedForwardSpec[]> {
  const { scratch, job, product } = tools;
  const { hiddenSize } = block;
  const changed = await withMergedExperts(block, groups, merged, options.router, scratch);
  const changedGates = await denseGates(changed, inputs, job);
  const missing = await routedSum(block, inputs, gates, tools);
  const present = await routedSum(changed, inputs, changedGates, tools);
  present.forEach((value, at) => (missing[at]! -= value));
  const refitted = [...merged];
  for (const [at, { members }] of groups.entries()) {
    const network = merged[at]!;
    const rows = options.router === 'all' ? members : [at];
    const { tokens, masses } = chosenTokens(changedGates, changed.experts.length, rows);
    if (members.length === 1 || tokens.length === 0) {
      continue;
    }
    const { activations } = await gatedRun(block, network, inputs, tokens, masses, tools);
    const residual = inputRows(missing, tokens, hiddenSize);
    const width = network.down.inputSize;
    const samples = { tokens: tokens.length, width, hiddenSize, activations, residual };
    const { change, ridge, before, after } = await refitDown(samples, product, options.ridge);
    job.log(
      'debug',
      `Layer ${block.layer}, expert ${members[0]}: squared error ${before.toPrecision(3)} → ${after.toPrecision(3)}, ridge ${ridge ?? 'none'}`,
    );
    if (change === undefined) {
      continue;
    }
    const weights = await readFeedForward(network);
    const down = await writeLinearLike(
      scratch,
      `layers.${block.layer}.merged.${members[0]}.refitted.down`,
      weights.down.map((value, position) => value + change[position]!),
      [hiddenSize, width],
      block.experts[members[0]!]!.down,
      weights.downBias,
    );
    refitted[at] = { ...network, down };
    const added = await product(activations, change, tokens.length, width, hiddenSize);
    tokens.forEach((token, row) => {
      for (let column = 0; column < hiddenSize; column += 1) {
        missing[token * hiddenSize + column]! -= added[row * hiddenSize + column]!;
      }
    });
  }
  return refitted;
}

/** Σ g f(x) over all experts, `[tokens, hidden]`. */
async function routedSum(
  block: MoeBlockSpec,
  inputs: Float32Array,
  gates: Float32Array,
  tools: MergeTools,
): Promise<Float32Array> {
  const { hiddenSize, experts } = block;
  const sum = new Float32Array(inputs.length);
  for (const [position, network] of experts.entries()) {
    const { tokens, masses } = chosenTokens(gates, experts.length, [position]);
    if (tokens.length === 0) {
      continue;
    }
    const { outputs } = await gatedRun(block, network, inputs, tokens, masses, tools);
    tokens.forEach((token, row) => {
      for (let column = 0; column < hiddenSize; column += 1) {
        sum[token * hiddenSize + column]! += outputs[row * hiddenSize + column]!;
      }
    });
  }
  return sum;
}

/** Tokens that choose any of some experts, and their gates for them together. */
function chosenTokens(
  gates: Float32Array,
  experts: number,
  positions: readonly number[],
): { readonly tokens: number[]; readonly masses: number[] } {
  const tokens: number[] = [];
  const masses: number[] = [];
  for (let token = 0; token < gates.length / experts; token += 1) {
    const mass = positions.reduce((sum, position) => sum + gates[token * experts + position]!, 0);
    if (mass !== 0) {
      tokens.push(token);
      masses.push(mass);
    }
  }
  return { tokens, masses };
}

/** One expert on some tokens, times its gates: on its output, or on its input where the family has them there. */
async function gatedRun(
  block: MoeBlockSpec,
  network: FeedForwardSpec,
  inputs: Float32Array,
  tokens: readonly number[],
  masses: readonly number[],
  { job }: MergeTools,
): Promise<{ readonly activations: Float32Array; readonly outputs: Float32Array }> {
  const onInput = block.router.apply === 'input';
  const x = inputRows(inputs, tokens, block.hiddenSize, onInput ? masses : undefined);
  const { intermediate, y } = await runNetwork(network, block.activation, x, job);
  if (!onInput) {
    scaleRows(intermediate, masses);
    scaleRows(y, masses);
  }
  return { activations: intermediate, outputs: y };
}

function scaleRows(values: Float32Array, factors: readonly number[]): void {
  const width = values.length / factors.length;
  for (let at = 0; at < values.length; at += 1) {
    values[at]! *= factors[Math.floor(at / width)]!;
  }
}
