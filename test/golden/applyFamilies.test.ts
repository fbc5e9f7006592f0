import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { blockCheckpoints } from '../support/blockCheckpoints/blockCheckpoints';
import { testRuntime } from '../support/engineRun';
import { failureOf } from '../support/failureOf';
import { randomPrunePlan } from '../support/prunePlan';
import { relativeError } from '../support/reference/golden';
import { forwardBlock, referenceModel } from '../support/reference/referenceForward';
import { readStrictly } from '../support/strictReader';
import { temporaryFolder } from '../support/temporaryFolder';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';
import type { TinyCheckpoint } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/**
 * Every family and storage, pruned and written: the slow double-precision reference reads the written folder, and must compute what
 * the engine computes of the original with the plan.
 */

const tolerance = 1e-4;
const tokens = 12;

async function prune(checkpoint: TinyCheckpoint) {
  const root = await temporaryFolder();
  const folder = writeTinyCheckpoint(checkpoint, path.join(root, 'model'));
  const plan = path.join(root, 'some.moeplan.json');
  const content = await randomPrunePlan(folder, 0.5);
  await writeFile(plan, JSON.stringify(content));
  const out = path.join(root, 'written');
  const result = await apply({ checkpoint: folder, plan, target: 'huggingface', out }, quietJob());
  expect(result.predictedBytes).toBe(result.bytes);
  const [before, after] = [readStrictly(folder), readStrictly(out)];
  expect(after.tensors.size).toBeLessThanOrEqual(before.tensors.size);
  return { folder, plan, out, keep: content.prune.keep };
}

/** Variants that differ in the tensors of their blocks; the others differ in attention. */
const variants = [
  'mixtral',
  'olmoe-renormalized-bias',
  'flex_olmo',
  'qwen3_moe-stacked-experts',
  'qwen3_moe-transposed-experts',
  'deepseek_v2-group-limited',
  'deepseek_v3-fp8',
  'minimax_m2',
  'phimoe-longrope-bias',
  'granitemoeshared',
  'gpt_oss-mxfp4',
  'llama4-nested',
  'ernie4_5_moe',
  'hunyuan_v1_moe-k-by-layer',
  'lfm2_moe-bias',
  'minicpm',
  'dbrx',
  'exaone_moe',
  'hy_v3',
  'qwen3_vl_moe',
  'qwen3_omni_moe-thinker',
];

test.each(variants)('%s', async (name) => {
  const checkpoint = tinyCheckpoints.find((each) => each.name === name)!;
  const { folder, plan, out } = await prune(checkpoint);
  const planned = await openPlannedModel(await openModel(folder), { plan }, quietJob());
  try {
    const reference = referenceModel(out, tokens);
    for (const [at, block] of planned.blocks.slice(0, 2).entries()) {
      const input = Float32Array.from({ length: tokens * block.hiddenSize }, gaussianSource(checkpoint.name, at));
      const k = planned.activeExperts[at]!;
      const found = await runBlock(block, input, k, testRuntime, quietJob());
      const wanted = forwardBlock(reference, block.layer, Float64Array.from(input), k);
      expect(relativeError(Float64Array.from(found), wanted), `layer ${block.layer}`).toBeLessThan(tolerance);
    }
  } finally {
    await planned.dispose();
  }
});

describe('families of which only the blocks run here: what was written computes what the plan says', () => {
  const shrinkable = blockCheckpoints.filter(({ name }) => !name.startsWith('jetmoe'));

  test.each(shrinkable.map((checkpoint) => [checkpoint.name, checkpoint] as const))('%s', async (_, checkpoint) => {
    const { out, keep } = await prune(checkpoint);
    expect((await openModel(out)).resolved.experts).toBe(keep[0]!.length);
  });

  test('JetMoE is refused before anything is written', async () => {
    const checkpoint = blockCheckpoints.find(({ name }) => name.startsWith('jetmoe'))!;
    await expect(prune(checkpoint)).rejects.toThrow(/attention experts/);
  });
});

test('4-bit experts can be pruned, and nothing computed is stored in their place', async () => {
  const root = await temporaryFolder();
  const checkpoint = tinyCheckpoints.find(({ name }) => name === 'gpt_oss-mxfp4')!;
  const folder = writeTinyCheckpoint(checkpoint, path.join(root, 'model'));
  const content = await randomPrunePlan(folder, 0.5);
  const correction = content.prune.keep.map(() => 0.9);
  const plan = path.join(root, 'some.moeplan.json');
  await writeFile(plan, JSON.stringify({ ...content, prune: { ...content.prune, correction } }));
  const out = path.join(root, 'written');
  const error = await failureOf(apply({ checkpoint: folder, plan, target: 'huggingface', out }, quietJob()));
  expect([error.code, error.kind]).toEqual(['unsupportedFeature', 'input']);
  expect(error.details.wayOut).toMatch(/BF16 checkpoint/);
});
