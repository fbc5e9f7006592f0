import path from 'node:path';
import { expect, test } from 'vitest';
import { specTensors } from '../../engine/families/specTensors';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { blockGraph, blockNames } from '../../engine/graph/blockGraph';
import { sensitivityGraph, sensitivityNames } from '../../engine/graph/sensitivityGraph';
import { DeviceJournal } from '../../engine/runtime/deviceJournal';
import { ranOn } from '../../engine/runtime/graphTargets';
import { openGraph } from '../../engine/runtime/openGraph';
import { floats, openSession, runtimeError, type RuntimeOptions } from '../../engine/runtime/session';
import { root } from '../../scripts/support/paths.mjs';
import { openResolved, testRuntime } from '../support/engineRun';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';

const tokens = 40;

/** Routed plainly, with a shared expert, with gates on the input, with biases and MXFP4. */
const names = ['mixtral', 'qwen2_moe', 'llama4_text', 'gpt_oss'];

/** CUDA's graphs on the processor, behind a device that loads no graph with more than so many bytes of weights. */
function device(mostBytes: number, deviceMemoryBytes?: number) {
  const told: string[] = [];
  const loaded: number[] = [];
  const runtime: RuntimeOptions = {
    provider: 'cuda',
    threads: 2,
    deviceMemoryBytes,
    journal: new DeviceJournal((message) => told.push(message)),
    open: async (model, options) => {
      if (options.provider === 'cpu') {
        return openSession(model, options);
      }
      const bytes = externalBytes(model);
      loaded.push(bytes);
      if (bytes > mostBytes) {
        throw runtimeError(new Error('CUDA failure 2: out of memory'), 'The graph could not be loaded.');
      }
      return openSession(model, { ...options, provider: 'cpu' });
    },
  };
  return { runtime, told, loaded };
}

/** Bytes of the external weights of a model: the decimal numbers after `length` in its bytes. */
function externalBytes(model: Uint8Array): number {
  const text = Buffer.from(model).toString('latin1');
  return [...text.matchAll(/length\x12.(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
}

async function lastBlock(family: string): Promise<MoeBlockSpec> {
  return (await openResolved(path.join(root, 'test', 'golden', 'families', family))).blocks.at(-1)!;
}

function inputOf(block: MoeBlockSpec) {
  const source = gaussianSource('inputs of groups', tokens);
  const data = Float32Array.from({ length: tokens * block.hiddenSize }, source);
  return { type: 'float32', data, shape: [tokens, block.hiddenSize] } as const;
}

async function blockOutput(block: MoeBlockSpec, runtime: RuntimeOptions): Promise<Float32Array> {
  const session = await openGraph((target) => blockGraph(block, target), runtime, { batched: [blockNames.x], block });
  const k = { type: 'int64', data: BigInt64Array.of(BigInt(block.activeExperts)), shape: [1] } as const;
  const results = await session.run({ [blockNames.x]: inputOf(block), [blockNames.activeExperts]: k });
  await session.dispose();
  return floats(results, blockNames.y);
}

async function norms(block: MoeBlockSpec, runtime: RuntimeOptions): Promise<Float32Array[]> {
  const build = (target: Parameters<Parameters<typeof openGraph>[0]>[0]) => sensitivityGraph(block, target);
  const session = await openGraph(build, runtime, { batched: [sensitivityNames.x], block });
  const results = await session.run({ [sensitivityNames.x]: inputOf(block) });
  const values = session.outputs.map((name) => floats(results, name));
  await session.dispose();
  return values;
}

const expertBytes = (block: MoeBlockSpec, experts = block.experts.length) =>
  specTensors(block.experts.slice(0, experts)).reduce((sum, { byteLength }) => sum + byteLength, 0);

test.each(names)(
  '%s: experts that do not fit together run in groups, with the same outputs and norms',
  async (family) => {
    const block = await lastBlock(family);
    const whole = device(Infinity);
    const outsideExperts = specTensors({ ...block, experts: [] }).reduce((sum, entry) => sum + entry.byteLength, 0);
    const small = device(Math.max(outsideExperts, expertBytes(block, 2)));
    // The last bit may differ: products have other numbers of rows.
    const [output, expected] = [await blockOutput(block, small.runtime), await blockOutput(block, whole.runtime)];
    expect(relativeError(output, expected)).toBeLessThan(1e-6);
    const squares = await norms(block, whole.runtime);
    for (const [at, values] of (await norms(block, small.runtime)).entries()) {
      expect(relativeError(values, squares[at]!)).toBeLessThan(1e-6);
    }
    expect(small.told.length).toBeGreaterThan(0);
    expect(small.told.every((message) => /run in \d+ groups/.test(message))).toBe(true);
    expect(ranOn(small.runtime)).toBe('cuda');
    expect(relativeError(output, await blockOutput(block, testRuntime))).toBeLessThan(5e-5);
  },
);

test('a memory limit plans groups and rows before anything fails', async () => {
  const block = await lastBlock('mixtral');
  const limit = expertBytes(block);
  const limited = device(Infinity, limit);
  // Steps are smaller too, which changes the order of sums.
  const whole = await blockOutput(block, device(Infinity).runtime);
  expect(relativeError(await blockOutput(block, limited.runtime), whole)).toBeLessThan(1e-6);
  expect(Math.max(...limited.loaded)).toBeLessThanOrEqual(limit / 2);
  expect(limited.told).toContainEqual(expect.stringMatching(/run in 2 groups/));
});

test('where not even one expert fits, the processor takes over and the result says so', async () => {
  const block = await lastBlock('mixtral');
  const tiny = device(expertBytes(block, 1) - 1);
  expect(await blockOutput(block, tiny.runtime)).toEqual(await blockOutput(block, testRuntime));
  expect(tiny.told.at(-1)).toContain('runs on the processor');
  expect(ranOn(tiny.runtime)).toBe('cuda, in part cpu');
});

function relativeError(actual: Float32Array, expected: Float32Array): number {
  const norm = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0));
  return Math.sqrt(expected.reduce((sum, value, at) => sum + (actual[at]! - value) ** 2, 0)) / norm;
}
