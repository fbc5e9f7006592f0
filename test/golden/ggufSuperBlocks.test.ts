import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import type { GgufBlocks } from '../../engine/protocol/apply';
import { failureOf } from '../support/failureOf';
import { decodeGguf, readGguf } from '../support/ggufReader';
import { goldenFamiliesFolder } from '../support/reference/golden';
import { readCheckpointTensors } from '../support/reference/readTensors';
import { rounded } from '../support/roundingOracle';
import { temporaryFolder } from '../support/temporaryFolder';
import { experts, tiny, wNames, type TinyCheckpoint } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** Mixtral with experts of 256 channels: super-blocks divide the rows of down, and not the 64 inputs of gate and up. */
const width = 256;

function wideMixtral(): TinyCheckpoint {
  const base = tinyCheckpoints.find(({ name }) => name.startsWith('mixtral'))!;
  const isExpert = (name: string) => name.includes('.experts.');
  return {
    ...base,
    name: 'mixtral-wide',
    config: { ...base.config, rope_scaling: undefined, rope_parameters: undefined, intermediate_size: width },
    tensors: [
      ...base.tensors.filter(({ name }) => !isExpert(name)),
      ...Array.from({ length: tiny.layers }, (_, layer) =>
        experts(`model.layers.${layer}.block_sparse_moe.experts`, { width, names: wNames }),
      ).flat(),
    ],
  };
}

const quantize = (layers: readonly unknown[], more: object = {}) => ({
  quantize: { method: 'rtn', group: 32, symmetric: true, scope: 'experts', layers, seed: 0, ...more },
});

async function applied(
  checkpoint: string,
  plan: object,
  target: 'llama.cpp' | 'huggingface' = 'llama.cpp',
  ggufBlocks: GgufBlocks = 'k-quants',
) {
  const root = await temporaryFolder();
  const file = path.join(root, 'some.moeplan.json');
  await writeFile(file, JSON.stringify({ version: 1, ...plan }));
  const out = path.join(root, 'written');
  return { root, out, run: () => apply({ checkpoint, plan: file, target, out, ggufBlocks }, quietJob()) };
}

async function written(checkpoint: string, plan: object, blocks: GgufBlocks = 'k-quants') {
  const { out, run } = await applied(checkpoint, plan, 'llama.cpp', blocks);
  const result = await run();
  expect(result.bytes).toBe(result.predictedBytes);
  return { gguf: readGguf(path.join(out, 'model.gguf')), notes: result.notes.join('\n') };
}

describe('k-quants in GGUF files', () => {
  test('the bits of a plan choose the types, by the length of the rows, and weights are rounded once', async () => {
    const folder = writeTinyCheckpoint(wideMixtral(), path.join(await temporaryFolder(), 'wide'));
    const stored = readCheckpointTensors(folder);
    const { gguf, notes } = await written(folder, quantize([2, 3, 4, { up: 8, down: [4, 4, 3, 4, 4, 4, 4, 4] }]));
    const down = ['Q2_K', 'Q3_K', 'Q4_K', 'Q4_K'];
    const up = ['Q4_0', 'Q4_0', 'Q4_1', 'Q8_0'];
    const gate = ['Q4_0', 'Q4_0', 'Q4_1', 'BF16'];
    for (const layer of [0, 1, 2, 3]) {
      const of = (name: string) => gguf.tensors.get(`blk.${layer}.ffn_${name}_exps.weight`)!;
      expect([of('gate').type, of('up').type, of('down').type]).toEqual([gate[layer], up[layer], down[layer]]);
      const original = Array.from({ length: tiny.experts }, (_, expert) => [
        ...stored.get(`model.layers.${layer}.block_sparse_moe.experts.${expert}.w2.weight`)!.data,
      ]).flat();
      const bits = [2, 3, 4, 4][layer]!;
      const error = squaredError(decodeGguf(of('down')), original);
      // The plan's own codes are worse: these come from the weights themselves.
      expect(error).toBeLessThan(squaredError(rounded(Float64Array.from(original), bits), original));
      expect(error).toBeGreaterThan(0);
    }
    expect(notes).toMatch(/rounded once/);
    expect(notes).toMatch(/do not divide the rows of 6 tensors \(blk\.0\.ffn_gate_exps\.weight has 64/);
    expect(notes).toMatch(/type of the most/);
  });

  test('codes of 5 and 6 bits are k-quants of their own, and Q8_0 where they stay codes', async () => {
    const folder = writeTinyCheckpoint(wideMixtral(), path.join(await temporaryFolder(), 'wide'));
    const { gguf } = await written(folder, quantize([5, 6, 8, { down: 5 }]));
    const typesOf = (file: typeof gguf) =>
      [0, 1, 2, 3].map((layer) => file.tensors.get(`blk.${layer}.ffn_down_exps.weight`)!.type);
    expect(typesOf(gguf)).toEqual(['Q5_K', 'Q6_K', 'Q8_0', 'Q5_K']);
    expect(gguf.tensors.get('blk.0.ffn_up_exps.weight')!.type).toBe('Q5_1');
    const codes = await written(folder, quantize([5, 6, 8, { down: 5 }]), 'codes');
    expect(typesOf(codes.gguf)).toEqual(['Q8_0', 'Q8_0', 'Q8_0', 'Q8_0']);
    const stored = readCheckpointTensors(folder);
    const down = codes.gguf.tensors.get('blk.1.ffn_down_exps.weight')!;
    const original = Array.from({ length: tiny.experts }, (_, expert) => [
      ...stored.get(`model.layers.1.block_sparse_moe.experts.${expert}.w2.weight`)!.data,
    ]).flat();
    const wanted = rounded(Float64Array.from(original), 6);
    expect(squaredError(decodeGguf(down), wanted)).toBeLessThan(
      1e-10 *
        squaredError(
          wanted,
          wanted.map(() => 0),
        ),
    );
  });

  test('the scope "all" gives attention its own bits', async () => {
    const folder = path.join(goldenFamiliesFolder, 'mixtral');
    const { gguf } = await written(folder, quantize([4, 16, 4, 4], { scope: 'all', others: 8 }));
    const typeOf = (name: string) => gguf.tensors.get(name)!.type;
    expect(typeOf('blk.1.attn_q.weight')).toBe('Q8_0');
    expect([typeOf('blk.1.ffn_up_exps.weight'), typeOf('blk.0.ffn_up_exps.weight')]).toEqual(['BF16', 'Q4_1']);
    expect([typeOf('token_embd.weight'), typeOf('output.weight')]).toEqual(['BF16', 'BF16']);
  });

  test('without bits or a GGUF file there is nothing to choose', async () => {
    const folder = path.join(goldenFamiliesFolder, 'mixtral');
    const keep = Array.from({ length: 4 }, () => [0, 1, 2, 3, 4, 5]);
    for (const [plan, target, message] of [
      [{ prune: { method: 'frequency', ratio: 0.25, keep, seed: 0 } }, 'llama.cpp', /no bits/],
      [quantize([4, 4, 4, 4]), 'huggingface', /No GGUF file/],
      [{ activeExperts: [1, 1, 1, 1] }, 'llama.cpp', /No GGUF file/],
    ] as const) {
      const { root, run } = await applied(folder, plan, target);
      const error = await failureOf(run(), message.source);
      expect([error.code, error.message]).toEqual(['usage', expect.stringMatching(message)]);
      expect(await readdir(root)).toEqual(['some.moeplan.json']);
    }
  });
});

function squaredError(one: ArrayLike<number>, other: ArrayLike<number>): number {
  return Array.from(one).reduce((sum, value, at) => sum + (value - other[at]!) ** 2, 0);
}
