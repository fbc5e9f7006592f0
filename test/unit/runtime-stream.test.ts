import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { specTensors } from '../../engine/families/specTensors';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes, ScaledProbes } from '../../engine/measure/probeInputs';
import { ResidentProbes } from '../../engine/measure/residentProbes';
import { measureSensitivity, SensitivityMeter } from '../../engine/measure/sensitivity';
import { TunerError } from '../../engine/protocol/errors';
import { DeviceJournal } from '../../engine/runtime/deviceJournal';
import { openSession, type Feeds, type RuntimeOptions } from '../../engine/runtime/session';
import { WeightBuffers } from '../../engine/runtime/weightBuffers';
import { root } from '../../scripts/support/paths.mjs';
import { openResolved, testRuntime } from '../support/engineRun';

const scratch = mkdtempSync(path.join(tmpdir(), 'runtime-stream-'));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** Separate and stacked experts, shared ones, biases and MXFP4. */
const names = ['mixtral', 'qwen2_moe', 'gpt_oss', 'deepseek_v3'];
const families = path.join(root, 'test', 'golden', 'families');

/** CUDA's graphs, run by the processor; `most` rows fit into the memory of the device. */
function device(most = Infinity) {
  let opened = 0;
  const fed: Feeds[] = [];
  const runtime: RuntimeOptions = {
    provider: 'cuda',
    threads: 2,
    journal: new DeviceJournal(() => undefined),
    open: async (model, options) => {
      opened += 1;
      const session = await openSession(model, { ...options, provider: 'cpu' });
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        dispose: () => session.dispose(),
        run: (feeds, outputs) => {
          fed.push(feeds);
          if ((feeds.rows ?? feeds.x)!.shape[0]! > most) {
            throw new TunerError('outOfMemory', 'There is not enough memory for this step.');
          }
          return session.run(feeds, outputs);
        },
      };
    },
  };
  return { runtime, fed, opened: () => opened };
}

test.each(names)('%s: one session takes the weights of layer after layer', async (name) => {
  const { blocks, hiddenSize } = await openResolved(path.join(families, name));
  const probes = new GaussianProbes(2, 20, hiddenSize, 0);
  const { runtime, opened } = device();
  const meter = new SensitivityMeter(blocks, runtime, quietJob());
  for (const [at, block] of blocks.entries()) {
    const { raw, relativeSquared } = await meter.measure(block, probes, blocks[at + 1]);
    const expected = await measureSensitivity(block, probes, testRuntime, quietJob());
    raw.forEach((value, k) => expect(Math.abs(value - expected.raw[k]!)).toBeLessThan(1e-4 * expected.raw[0]! + 1e-12));
    relativeSquared.forEach((value, k) => expect(value).toBeCloseTo(expected.relativeSquared[k]!, 4));
  }
  await meter.dispose();
  expect(blocks.length).toBeGreaterThan(1);
  expect(opened()).toBe(1);
});

test('a layer that was not the one read ahead gets its own weights', async () => {
  const { blocks, hiddenSize } = await openResolved(path.join(families, 'mixtral'));
  const [first, second] = blocks as [MoeBlockSpec, MoeBlockSpec];
  const probes = new GaussianProbes(2, 20, hiddenSize, 0);
  const meter = new SensitivityMeter(blocks, device().runtime, quietJob());
  await meter.measure(first, probes, second);
  const { raw } = await meter.measure(first, probes, undefined);
  await meter.dispose();
  const expected = await measureSensitivity(first, probes, testRuntime, quietJob());
  expect(raw[0]).toBeCloseTo(expected.raw[0]!, 4);
});

test('inputs that all layers share are loaded once, also where steps get smaller', async () => {
  const { blocks, hiddenSize } = await openResolved(path.join(families, 'mixtral'));
  const probes = new GaussianProbes(2, 200, hiddenSize, 0);
  const { runtime, fed } = device(300);
  const meter = new SensitivityMeter(blocks, runtime, quietJob());
  for (const [at, block] of blocks.entries()) {
    const { raw } = await meter.measure(block, probes, blocks[at + 1]);
    const expected = await measureSensitivity(block, probes, testRuntime, quietJob());
    raw.forEach((value, k) => expect(Math.abs(value - expected.raw[k]!)).toBeLessThan(1e-4 * expected.raw[0]! + 1e-12));
  }
  await meter.dispose();
  expect(fed.map(({ rows }) => rows?.shape[0])).toEqual(blocks.flatMap(() => [400, 200, 200]));
  expect(fed.filter(({ x }) => x !== undefined)).toHaveLength(0);
});

test('inputs that differ between layers are fed', async () => {
  const { blocks, hiddenSize } = await openResolved(path.join(families, 'mixtral'));
  const [first, second] = blocks as [MoeBlockSpec, MoeBlockSpec];
  const gaussian = new GaussianProbes(2, 20, hiddenSize, 0);
  const scaled = new ScaledProbes(gaussian, new Float32Array(hiddenSize).fill(2));
  const { runtime, fed } = device();
  const meter = new SensitivityMeter(blocks, runtime, quietJob());
  const measured = [await meter.measure(first, gaussian, second), await meter.measure(second, scaled, undefined)];
  await meter.dispose();
  expect(fed.map((feeds) => [feeds.rows !== undefined, feeds.x !== undefined])).toEqual([
    [true, false],
    [false, true],
  ]);
  const expected = [
    await measureSensitivity(first, gaussian, testRuntime, quietJob()),
    await measureSensitivity(second, scaled, testRuntime, quietJob()),
  ];
  measured.forEach(({ raw }, layer) => expect(raw[0]).toBeCloseTo(expected[layer]!.raw[0]!, 4));
});

test('the file of inputs holds them, and is removed', async () => {
  const values = new GaussianProbes(3, 5, 8, 1).whole()!;
  const probes = await ResidentProbes.write(values, 8);
  const { file, shape } = probes.entry;
  expect(shape).toEqual([15, 8]);
  expect(new Float32Array(new Uint8Array(readFileSync(file)).buffer)).toEqual(
    Float32Array.from([0, 1, 2].flatMap((at) => [...new GaussianProbes(3, 5, 8, 1).batch(at)])),
  );
  await probes.dispose();
  expect(existsSync(path.dirname(file))).toBe(false);
});

test('a file that became shorter is told when its weights are needed', async () => {
  const folder = path.join(scratch, 'shorter');
  cpSync(path.join(families, 'mixtral'), folder, { recursive: true });
  const { blocks } = await openResolved(folder);
  const entries = specTensors(blocks[0]!);
  truncateSync(entries[0]!.file, entries[0]!.byteOffset + 3);
  const buffers = new WeightBuffers();
  buffers.read(entries);
  await expect(buffers.get()).rejects.toMatchObject({
    code: 'malformedSafetensors',
    details: { place: expect.any(String) },
  });
  await buffers.dispose();
});
