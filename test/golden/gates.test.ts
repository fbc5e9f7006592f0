import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { runBlock } from '../../engine/measure/blockRun';
import { measureGateScales } from '../../engine/measure/gateScales';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes } from '../../engine/measure/probeInputs';
import type { Plan } from '../../engine/protocol/plan';
import { ScratchWeights } from '../../engine/transform/scratchWeights';
import { transformBlocks } from '../../engine/transform/transformModel';
import { openResolved, testRuntime } from '../support/engineRun';
import { failureOf } from '../support/failureOf';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const scratch = mkdtempSync(path.join(tmpdir(), 'gates-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const tokens = 96;
const families = tinyCheckpoints
  .filter(({ name }) => /mixtral|olmoe|qwen2|deepseek_v3|gpt_oss|llama4/i.test(name))
  .map((checkpoint) => [checkpoint.name, checkpoint] as const);

describe.each(families)('%s', (name, checkpoint) => {
  const open = async (): Promise<MoeBlockSpec> => {
    const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name.replaceAll(/\W+/g, '-')));
    return (await openResolved(folder)).blocks.at(-1)!;
  };

  test('the factor of every k is the least-squares one of two forwards, and a plan applies it to the routed part alone', async () => {
    const block = await open();
    const probes = new GaussianProbes(2, tokens / 2, block.hiddenSize, 7);
    const scales = await measureGateScales(block, probes, testRuntime, quietJob());
    const x = Float32Array.from([...probes.batch(0), ...probes.batch(1)]);
    const routedOnly = { ...block, shared: undefined, outputBias: undefined };
    const run = (spec: MoeBlockSpec, k: number) => runBlock(spec, x, k, testRuntime, quietJob());
    const full = await run(routedOnly, block.activeExperts);
    expect(scales).toHaveLength(block.activeExperts);
    expect(scales.at(-1)).toBe(1);
    for (let k = 1; k < block.activeExperts; k += 1) {
      const fewer = await run(routedOnly, k);
      expect(scales[k - 1]).toBeCloseTo(product(fewer, full) / product(fewer, fewer), 4);
      const [scaled] = await applied([block], { gates: { scale: [scales[k - 1]!], seed: 0 } });
      const [withShared, plain] = [await run(scaled!, k), await run(block, k)];
      const expected = plain.map((value, at) => value + (scales[k - 1]! - 1) * fewer[at]!);
      expect(distance(withShared, expected)).toBeLessThan(1e-5 * Math.sqrt(product(expected, expected)));
    }
  });
});

test('a reference is refused where gates are not divided by anything', async () => {
  const checkpoint = tinyCheckpoints.find(({ name }) => /olmoe/i.test(name))!;
  const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, 'olmoe-refused'));
  const { blocks } = await openResolved(folder);
  const error = await failureOf(applied(blocks, { gates: { reference: blocks.map(() => 2), seed: 0 } }));
  expect(error).toMatchObject({ code: 'unsupportedFeature', details: { place: 'gates.reference[0]' } });
});

async function applied(blocks: readonly MoeBlockSpec[], plan: Partial<Plan>): Promise<MoeBlockSpec[]> {
  const weights = new ScratchWeights();
  try {
    return await transformBlocks(blocks, { version: 1, ...plan }, { scratch: weights, job: quietJob(), planFile: 'p' });
  } finally {
    await weights.dispose();
  }
}

function product(left: Float32Array, right: Float32Array): number {
  return left.reduce((sum, value, at) => sum + value * right[at]!, 0);
}

function distance(left: Float32Array, right: Float32Array): number {
  return Math.sqrt(left.reduce((sum, value, at) => sum + (value - right[at]!) ** 2, 0));
}
