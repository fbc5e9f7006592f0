import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensorsHeader';
import { readTensorBytes, readTensorFloat32 } from '../../engine/checkpoint/readTensor';
import type { TensorEntry } from '../../engine/checkpoint/types';
import { resolveModel, type ResolvedModel } from '../../engine/families/resolveModel';
import { headGraph, headNames } from '../../engine/graph/modelEndsGraph';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { floats, openSession } from '../../engine/runtime/session';
import { testThreads } from '../support/engineServices';

const folder = path.join(import.meta.dirname, 'families');
const runtime = { provider: 'cpu', threads: testThreads };
const job = quietJob();

/** Absolute error of logits, and relative Frobenius error of block outputs, against Transformers in float32. */
const logitTolerance = 1e-3;
const blockTolerance = 1e-4;

const names = existsSync(folder) ? readdirSync(folder).sort() : [];

test('all golden families are here', () => {
  expect(names).toHaveLength(11);
});

describe.each(names)('%s', (name) => {
  let model: ResolvedModel;
  let golden: Map<string, TensorEntry>;
  let sessions: LayerSessions;
  const values = (tensor: string) => readTensorFloat32(golden.get(tensor)!);

  beforeAll(async () => {
    const at = path.join(folder, name);
    model = resolveModel(await openCheckpoint(at));
    const header = await readSafetensorsHeader(path.join(at, 'golden.safetensors'));
    golden = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
    sessions = new LayerSessions(model.decoder(), runtime);
  });
  afterAll(() => sessions.dispose());

  async function logits(active: readonly number[]): Promise<Float32Array> {
    const entry = golden.get('input_ids')!;
    const [count, time] = entry.shape as [number, number];
    const ids = new BigInt64Array((await readTensorBytes(entry)).slice().buffer);
    const sequences = Array.from({ length: count }, (_, row) =>
      Int32Array.from(ids.subarray(row * time, (row + 1) * time), Number),
    );
    const spec = model.decoder();
    const batches = batchSequences(sequences, 4);
    const walk = await walkLayers({ model: spec, sessions, runtime, batches, variants: [active], job });
    const session = await openSession(headGraph(spec), runtime);
    const data = await walk.hidden(0, 0);
    const shape = [count * time, spec.hiddenSize];
    const result = await session.run({ [headNames.hidden]: { type: 'float32', data, shape } });
    await session.dispose();
    await walk.dispose();
    return floats(result, headNames.logits);
  }

  test('logits at the trained k and at every uniform k', async () => {
    const trained = model.blocks.map(({ activeExperts }) => activeExperts);
    const cases = [
      { tensor: 'logits', active: trained },
      ...[...golden.keys()]
        .filter((tensor) => tensor.startsWith('logits.k'))
        .map((tensor) => ({ tensor, active: trained.map(() => Number(tensor.slice('logits.k'.length))) })),
    ];
    expect(cases.length).toBeGreaterThan(1);
    for (const { tensor, active } of cases) {
      const expected = await values(tensor);
      const actual = await logits(active);
      expect(largestDifference(actual, expected), tensor).toBeLessThan(logitTolerance);
      expect(argMaxima(actual, model.vocabularySize), tensor).toEqual(argMaxima(expected, model.vocabularySize));
    }
  });

  test('block outputs at every k on captured and Gaussian inputs', async () => {
    const outputs = [...golden.keys()].filter((tensor) => /^(moe|gauss)_out\.k/.test(tensor));
    expect(outputs.length).toBeGreaterThan(0);
    for (const tensor of outputs) {
      const [, kind, k, layer] = /^(moe|gauss)_out\.k(\d+)\.\D*(\d+)\./.exec(tensor)!;
      const block = model.blocks.find((candidate) => candidate.layer === Number(layer))!;
      const module = tensor.slice(tensor.indexOf('.', tensor.indexOf('.k') + 1) + 1);
      const input = await values(kind === 'gauss' ? 'gauss' : `moe_in.${module}`);
      const actual = await runBlock(block, input, Number(k), runtime, job);
      expect(relativeError(actual, await values(tensor)), tensor).toBeLessThan(blockTolerance);
    }
  });
});

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((largest, value, at) => Math.max(largest, Math.abs(value - expected[at]!)), 0);
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  let difference = 0;
  let norm = 0;
  expected.forEach((value, at) => {
    difference += (actual[at]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

function argMaxima(logits: Float32Array, width: number): number[] {
  return Array.from({ length: logits.length / width }, (_, row) => {
    const values = logits.subarray(row * width, (row + 1) * width);
    return values.indexOf(values.reduce((best, value) => Math.max(best, value), -Infinity));
  });
}
