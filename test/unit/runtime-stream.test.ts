import { cpSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { specTensors } from '../../engine/families/specTensors';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes } from '../../engine/measure/probeInputs';
import { measureSensitivity, SensitivityMeter } from '../../engine/measure/sensitivity';
import { openSession, type RuntimeOptions } from '../../engine/runtime/session';
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

/** CUDA's graphs, run by the processor. */
function device() {
  let opened = 0;
  const runtime: RuntimeOptions = {
    provider: 'cuda',
    threads: 2,
    open: (model, options) => {
      opened += 1;
      return openSession(model, { ...options, provider: 'cpu' });
    },
  };
  return { runtime, opened: () => opened };
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
