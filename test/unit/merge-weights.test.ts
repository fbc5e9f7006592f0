import { readFileSync } from 'node:fs';
import path from 'node:path';
import { assert, describe, expect, it, onTestFinished } from 'vitest';
import { specTensors } from '../../engine/families/specTensors';
import type { FeedForwardSpec, MoeBlockSpec } from '../../engine/families/specification';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { permuteChannels } from '../../engine/methods/merge/alignment';
import { plainProduct } from '../../engine/methods/merge/matrixProduct';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { mergeOptionsSchema, type MergeOptions } from '../../engine/protocol/merging';
import { mergeGroup, type MergeGroup, type MergeSamples, type MergeTools } from '../../engine/transform/mergeGroup';
import { refitLayer } from '../../engine/transform/mergeLayerRefit';
import { withMergedExperts } from '../../engine/transform/mergeRouter';
import { denseGates, runNetwork } from '../../engine/transform/mergeRuns';
import { readFeedForward } from '../../engine/transform/readWeight';
import { ScratchWeights } from '../../engine/transform/scratchWeights';
import { writeFeedForward } from '../../engine/transform/writeWeight';
import { openResolved, testRuntime } from '../support/engineRun';
import { temporaryFolder } from '../support/temporaryFolder';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const job = quietJob();

async function firstBlock(name: string): Promise<MoeBlockSpec> {
  const checkpoint = tinyCheckpoints.find((candidate) => candidate.name === name);
  assert(checkpoint !== undefined, `there is no checkpoint ${name}`);
  const folder = path.join(await temporaryFolder(), 'checkpoint');
  return (await openResolved(writeTinyCheckpoint(checkpoint, folder))).blocks[0]!;
}

function tools(): MergeTools {
  const scratch = new ScratchWeights();
  onTestFinished(() => scratch.dispose());
  return { scratch, job, product: plainProduct };
}

function inputs(block: MoeBlockSpec, tokens: number, seed = 1): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: tokens * block.hiddenSize }, () => random.uniform() * 4 - 2);
}

function bytesOf(network: FeedForwardSpec): string[] {
  return specTensors(network).map(({ file, byteOffset, byteLength }) =>
    readFileSync(file)
      .subarray(byteOffset, byteOffset + byteLength)
      .toString('base64'),
  );
}

async function samplesOf(block: MoeBlockSpec, tokens: number): Promise<MergeSamples> {
  const x = inputs(block, tokens);
  return { inputs: x, gates: await denseGates(block, x, job) };
}

function merge(
  block: MoeBlockSpec,
  group: MergeGroup,
  options: MergeOptions,
  with_: MergeTools,
  samples?: MergeSamples,
): Promise<FeedForwardSpec> {
  return mergeGroup(block, group, mergeOptionsSchema.parse(options), samples, with_);
}

/** The block with its second expert a shuffled copy of the first. */
async function withShuffledCopy(block: MoeBlockSpec, { scratch }: MergeTools): Promise<MoeBlockSpec> {
  const first = await readFeedForward(block.experts[0]!);
  const random = new SeededRandom(11);
  const order = Int32Array.from({ length: first.width }, (_, at) => at);
  for (let at = first.width - 1; at > 0; at -= 1) {
    const other = random.integerBelow(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  const copy = await writeFeedForward(scratch, 'copy', permuteChannels(first, order), block.experts[0]!);
  return { ...block, experts: [block.experts[0]!, copy, ...block.experts.slice(2)] };
}

function distance(left: Float32Array, right: Float32Array): number {
  const largest = left.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return left.reduce((most, value, at) => Math.max(most, Math.abs(value - right[at]!)), 0) / largest;
}

describe.each(tinyCheckpoints.map(({ name }) => name))('weights of %s', (name) => {
  it('are read as graphs read them, and keep bytes and layout when written again', async () => {
    const block = await firstBlock(name);
    const { scratch } = tools();
    const expert = block.experts[2]!;
    const weights = await readFeedForward(expert);
    const x = inputs(block, 8);
    const before = await runNetwork(expert, block.activation, x, job);
    const exact = await writeFeedForward(scratch, 'exact', weights, expert, 'F32');
    const after = await runNetwork(exact, block.activation, x, job);
    expect(distance(before.y, after.y)).toBeLessThan(1e-6);
    const plain = specTensors(expert).every(({ dtype }) => dtype === 'BF16' || dtype === 'F32');
    if (plain) {
      expect(bytesOf(await writeFeedForward(scratch, 'same', weights, expert))).toEqual(bytesOf(expert));
    }
    // Channels of an expert in another order are the same expert.
    const order = Int32Array.from({ length: weights.width }, (_, at) => (at * 7 + 3) % weights.width);
    expect(new Set(order).size).toBe(weights.width);
    const shuffled = await writeFeedForward(scratch, 'shuffled', permuteChannels(weights, order), expert, 'F32');
    expect(distance(before.y, (await runNetwork(shuffled, block.activation, x, job)).y)).toBeLessThan(1e-5);
  });
});

/** Separate, fused (with biases), packed, input-gated and FP8 experts. */
const mergedFamilies = ['olmoe-clipped', 'gpt_oss', 'gpt_oss-mxfp4', 'llama4_text-chunked', 'deepseek_v3-fp8'];

describe.each(mergedFamilies)('merging in %s', (name) => {
  // A block of FP8 codes may end up with a scale that differs in its last bit; other storages come back exactly.
  const rounding = name.endsWith('fp8') ? 2e-5 : 1e-6;

  it('leaves groups of one alone, and makes the same bytes of the same group', async () => {
    const block = await firstBlock(name);
    expect(await merge(block, { members: [3], shares: [1] }, {}, tools())).toBe(block.experts[3]);
    const group = { members: [1, 4, 6], shares: [0.5, 0.3, 0.2] };
    for (const alignment of ['none', 'weights'] as const) {
      const [first, second] = [
        await merge(block, group, { alignment }, tools()),
        await merge(block, group, { alignment }, tools()),
      ];
      expect(bytesOf(first)).toEqual(bytesOf(second));
    }
  });

  it('is lossless for copies, shuffled ones too when channels are matched', async () => {
    const with_ = tools();
    const block = await withShuffledCopy(await firstBlock(name), with_);
    const x = inputs(block, 8);
    const same = { ...block, experts: block.experts.map(() => block.experts[0]!) };
    const before = await runNetwork(block.experts[0]!, block.activation, x, job);
    const group = { members: [0, 1], shares: [0.37, 0.63] };
    const run = async (network: FeedForwardSpec) => (await runNetwork(network, block.activation, x, job)).y;
    expect(distance(before.y, await run(await merge(same, group, {}, with_)))).toBeLessThan(rounding);
    for (const alignment of ['weights', 'activations'] as const) {
      const merged = await merge(block, group, { alignment }, with_, await samplesOf(block, 64));
      expect(distance(before.y, await run(merged))).toBeLessThan(rounding);
    }
    const unmatched = await merge(block, group, {}, with_);
    expect(distance(before.y, await run(unmatched))).toBeGreaterThan(0.05);
  });

  it('refits the down projection without harm on its samples', async () => {
    const block = await firstBlock(name);
    const with_ = tools();
    const samples = await samplesOf(block, 96);
    const group = { members: [0, 5], shares: [0.5, 0.5] };
    const target = await Promise.all(
      group.members.map(async (member) => runNetwork(block.experts[member]!, block.activation, samples.inputs, job)),
    );
    const error = async (options: MergeOptions) => {
      const merged = await merge(block, group, options, with_, samples);
      const { y } = await runNetwork(merged, block.activation, samples.inputs, job);
      return y.reduce((sum, value, at) => sum + (value - (target[0]!.y[at]! + target[1]!.y[at]!) / 2) ** 2, 0);
    };
    const plain = await error({ alignment: 'weights' });
    expect(await error({ alignment: 'weights', refit: 'average', ridge: 1e-3 })).toBeLessThan(plain * 0.9);
    expect(await error({ alignment: 'weights', refit: 'average' })).toBeLessThanOrEqual(plain);
  });

  it('keeps the output of the block where merged experts are equal and all router rows stay', async () => {
    const with_ = tools();
    const original = await firstBlock(name);
    const block = await withShuffledCopy(original, with_);
    const groups = [
      { members: [0, 1], shares: [0.5, 0.5] },
      ...block.experts.slice(2).map((_, at) => ({ members: [at + 2], shares: [1] })),
    ];
    const merged = [];
    for (const group of groups) {
      merged.push(await merge(block, group, { alignment: 'weights' }, with_));
    }
    const x = inputs(block, 16);
    const run = (spec: MoeBlockSpec) => runBlock(spec, x, spec.activeExperts, testRuntime, job);
    const all = await withMergedExperts(block, groups, merged, 'all', with_.scratch);
    expect(all.experts).toHaveLength(block.experts.length);
    expect(distance(await run(block), await run(all))).toBeLessThan(10 * rounding);
    if (block.router.groups !== undefined) {
      // One expert fewer does not fill groups of equal size: plans are refused then.
      return;
    }
    const first = await withMergedExperts(block, groups, merged, 'first', with_.scratch);
    expect(first.experts).toHaveLength(block.experts.length - 1);
    expect(first.router.keptRows).toEqual([0, ...groups.slice(1).map(({ members }) => members[0])]);
    const equalRows = {
      ...block,
      router: { ...block.router, keptRows: [0, 0, ...groups.slice(1).map(({ members }) => members[0]!)] },
    };
    const mean = await withMergedExperts(equalRows, groups, merged, 'mean', with_.scratch);
    expect(mean.router.keptRows).toBeUndefined();
    // The mean of two equal rows is that row.
    expect(distance(await run(first), await run(mean))).toBeLessThan(1e-6);
  });
});

it('fits what a layer adds on the tokens that chose the group', async () => {
  const block = await firstBlock('olmoe-clipped');
  const with_ = tools();
  const samples = await samplesOf(block, 200);
  const groups = block.experts.map((_, at) => ({ members: [at], shares: [1] })).slice(2);
  const pair = { members: [0, 1], shares: [0.5, 0.5] };
  const outputs = async (options: MergeOptions) => {
    const merged = [await merge(block, pair, options, with_, samples), ...block.experts.slice(2)];
    const changed = await withMergedExperts(block, [pair, ...groups], merged, 'all', with_.scratch);
    return runBlock(changed, samples.inputs, block.activeExperts, testRuntime, job);
  };
  const wanted = await runBlock(block, samples.inputs, block.activeExperts, testRuntime, job);
  const error = (y: Float32Array) => y.reduce((sum, value, at) => sum + (value - wanted[at]!) ** 2, 0);
  const plain = error(await outputs({ alignment: 'weights' }));
  const refitted = error(await outputs({ alignment: 'weights', refit: 'routed', ridge: 1e-3 }));
  expect(refitted).toBeLessThan(plain * 0.9);
});

it.each(['olmoe-clipped', 'llama4_text-chunked', 'gpt_oss'])(
  'brings the output of a merged layer of %s nearer with every router',
  async (name) => {
    const block = await firstBlock(name);
    const with_ = tools();
    const samples = await samplesOf(block, 240);
    const groups = [
      { members: [0, 1, 5], shares: [0.5, 0.3, 0.2] },
      { members: [2], shares: [1] },
      { members: [3, 4], shares: [0.6, 0.4] },
      { members: [6], shares: [1] },
      { members: [7], shares: [1] },
    ];
    const merged = [];
    for (const group of groups) {
      merged.push(await merge(block, group, { alignment: 'weights' }, with_));
    }
    const wanted = await runBlock(block, samples.inputs, block.activeExperts, testRuntime, job);
    for (const router of ['first', 'all'] as const) {
      const error = async (experts: readonly FeedForwardSpec[]) => {
        const changed = await withMergedExperts(block, groups, experts, router, with_.scratch);
        const y = await runBlock(changed, samples.inputs, block.activeExperts, testRuntime, job);
        return y.reduce((sum, value, at) => sum + (value - wanted[at]!) ** 2, 0);
      };
      const options = mergeOptionsSchema.parse({ refit: 'layer', ridge: 1e-3, router });
      const refitted = await refitLayer(block, groups, merged, options, samples, with_);
      expect(refitted[1]).toBe(block.experts[2]);
      expect(await error(refitted)).toBeLessThan((await error(merged)) * 0.95);
    }
  },
);

it('compresses merged matrices, the nearer the more parameters it may use', async () => {
  const block = await firstBlock('gpt_oss');
  const with_ = tools();
  const group = { members: [0, 3], shares: [0.5, 0.5] };
  const plain = await readFeedForward(await merge(block, group, {}, with_));
  const error = async (options: MergeOptions) => {
    const { up, down } = await readFeedForward(await merge(block, group, options, with_));
    const squares = (left: Float32Array, right: Float32Array) =>
      left.reduce((sum, value, at) => sum + (value - right[at]!) ** 2, 0);
    return squares(up, plain.up) + squares(down, plain.down);
  };
  const errors = [
    await error({ rank: 0.2 }),
    await error({ rank: 0.2, sparse: 0.25 }),
    await error({ rank: 0.6, sparse: 0.25 }),
    await error({ rank: 0.6, sparse: 1 }),
  ];
  expect(errors).toEqual([...errors].sort((a, b) => b - a));
  expect(errors[0]).toBeGreaterThan(0);
  expect(errors[3]).toBe(0);
});
