import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openModel } from '../../engine/jobs/openModel';
import { apply } from '../../engine/jobs/apply';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { blockCheckpoints } from '../support/blockCheckpoints/blockCheckpoints';
import { openResolved, testRuntime } from '../support/engineRun';
import { randomPrunePlan } from '../support/prunePlan';
import { readStrictly, type StrictTensor } from '../support/strictReader';
import { temporaryFolder } from '../support/temporaryFolder';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';
import { tiny } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/**
 * Transformers 5 renames and fuses tensors when it loads, and can write what it has in memory. Its renamings, from its table of
 * conversions (5.18), are done to released names here; the model must stay what it was, and be pruned the same.
 */

type Renaming = readonly [from: RegExp, to: string];

const sparseBlock: Renaming = [/\.block_sparse_moe\./, '.mlp.'];

/** By tiny checkpoint: what is renamed before experts are fused, in order. */
const renamings: Readonly<Record<string, readonly Renaming[]>> = {
  mixtral: [sparseBlock],
  'phimoe-longrope-bias': [sparseBlock, [/\.mlp\.gate\.weight$/, '.mlp.router.weight']],
  minimax_m2: [sparseBlock],
  minimax: [sparseBlock],
  kimi_linear: [sparseBlock],
  ernie4_5_moe: [[/\.mlp\.moe_statics\./, '.mlp.gate.moe_statics.']],
  exaone_moe: [[/\.mlp\.e_score/, '.mlp.gate.e_score']],
  hy_v3: [
    [/\.mlp\.router\.gate\./, '.mlp.gate.'],
    [/\.mlp\.expert_bias$/, '.mlp.e_score_correction_bias'],
    [/\.mlp\.shared_mlp\./, '.mlp.shared_experts.'],
  ],
  granitemoeshared: [
    [/moe\.input_linear\.weight$/, 'moe.experts.gate_up_proj'],
    [/moe\.output_linear\.weight$/, 'moe.experts.down_proj'],
    [/\.router\.layer\.weight$/, '.router.weight'],
  ],
  'lfm2_moe-bias': [],
  jamba: [],
  flex_olmo: [],
};

/** Renamed routers, biases and shared experts occur in these, whose blocks are all there is to write. */
const prunedToo = ['minimax', 'kimi_linear', 'jamba'];

const separate = /^(.*\.experts\.)(\d+)\.(gate_proj|up_proj|down_proj|w1|w3|w2)\.weight$/;

type Tensors = ReadonlyMap<string, StrictTensor>;

/** The tensors of a released checkpoint under the names, and in the form, that Transformers 5 has in memory. */
function inMemory(
  tensors: Tensors,
  names: readonly Renaming[],
): Map<string, { tensor: StrictTensor; parts: Buffer[] }> {
  const found = new Map<string, { tensor: StrictTensor; parts: Buffer[] }>();
  const parts = (stem: string, layers: readonly string[], expert: number) =>
    layers.map((layer) => tensors.get(`${stem}${expert}.${layer}.weight`)?.data);
  for (const [released, tensor] of tensors) {
    const name = names.reduce((text, [from, to]) => text.replace(from, to), released);
    const match = separate.exec(released);
    if (match === null) {
      found.set(name, { tensor, parts: [tensor.data] });
      continue;
    }
    const [, stem, expert, projection] = match as unknown as [string, string, string, string];
    const down = projection === 'down_proj' || projection === 'w2';
    if (expert !== '0' || projection === 'up_proj' || projection === 'w3') {
      continue;
    }
    const layers = down ? [projection] : projection === 'w1' ? ['w1', 'w3'] : ['gate_proj', 'up_proj'];
    const all: Buffer[] = [];
    let count = 0;
    for (; parts(stem, layers, count)[0] !== undefined; count += 1) {
      all.push(...(parts(stem, layers, count) as Buffer[]));
    }
    const [rows, columns] = tensor.shape as [number, number];
    const renamed = names.reduce((text, [from, to]) => text.replace(from, to), stem);
    found.set(`${renamed}${down ? 'down_proj' : 'gate_up_proj'}`, {
      tensor: { ...tensor, shape: [count, rows * layers.length, columns] },
      parts: all,
    });
  }
  return found;
}

function write(folder: string, config: unknown, tensors: ReturnType<typeof inMemory>): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, { tensor, parts }] of tensors) {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    header[name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const data = [...tensors.values()].flatMap(({ parts }) => parts);
  writeFileSync(path.join(folder, 'model.safetensors'), Buffer.concat([length, text, ...data]));
}

const tokens = 12;

async function outputs(folder: string): Promise<Float32Array[]> {
  const { blocks } = await openResolved(folder);
  const input = Float32Array.from({ length: tokens * tiny.hidden }, gaussianSource('in memory', 1));
  return Promise.all(
    blocks.slice(0, 1).map((block) => runBlock(block, input, block.activeExperts, testRuntime, quietJob())),
  );
}

async function pruned(folder: string, out: string): Promise<Float32Array[]> {
  const plan = `${out}.moeplan.json`;
  writeFileSync(plan, JSON.stringify(await randomPrunePlan(folder, 0.5)));
  const result = await apply({ checkpoint: folder, plan, target: 'huggingface', out }, quietJob());
  expect(result.predictedBytes).toBe(result.bytes);
  return outputs(out);
}

test.each(Object.entries(renamings))('%s', async (name, names) => {
  const checkpoint = [...tinyCheckpoints, ...blockCheckpoints].find((each) => each.name === name)!;
  const root = await temporaryFolder();
  const released = writeTinyCheckpoint(checkpoint, path.join(root, 'released'));
  const { config, tensors } = readStrictly(released);
  const converted = inMemory(tensors, names);
  expect([...converted.keys()].some((each) => separate.test(each))).toBe(false);
  const folder = path.join(root, 'in-memory');
  write(folder, config, converted);

  const [before, after] = [await openModel(released), await openModel(folder)];
  expect(after.resolved.recognised.record.name).toBe(before.resolved.recognised.record.name);
  expect(await outputs(folder)).toEqual(await outputs(released));
  if (before.resolved.forwardRefusal === undefined) {
    expect(after.resolved.decoder().layers).toHaveLength(before.resolved.decoder().layers.length);
  }
  if (prunedToo.includes(name)) {
    expect(await pruned(folder, path.join(root, 'pruned'))).toEqual(await pruned(released, path.join(root, 'other')));
  }
});
