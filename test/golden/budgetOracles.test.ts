import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes } from '../../engine/measure/probeInputs';
import { measureSensitivity } from '../../engine/measure/sensitivity';
import { openResolved, testRuntime } from '../support/engineRun';
import type { TinyCheckpoint } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/**
 * Oracles of budgets that need a model; those of the solvers (optimality, back-tracking, monotone front, other solvers never better,
 * constants and scales of rows, permuted layers, extreme totals, doubled costs) are in test/unit/budgets-exact and budgets-methods, the
 * prefix sum of all k against direct forwards in sensitivityFamilies.
 */
const scratch = mkdtempSync(path.join(tmpdir(), 'budget-oracles-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const tokens = 96;
/** Gates are the softmax of the chosen, or the chosen divided by their sum: they add up to one for every k. */
const renormalising = named('mixtral');
/** Gates are scores of a softmax over all experts: they add up to less for fewer experts. */
const plain = named('olmoe-clipped');

function named(name: string): TinyCheckpoint {
  return tinyCheckpoints.find((checkpoint) => checkpoint.name === name)!;
}

async function blocksOf(checkpoint: TinyCheckpoint, folder: string): Promise<readonly MoeBlockSpec[]> {
  return (await openResolved(writeTinyCheckpoint(checkpoint, path.join(scratch, folder)))).blocks;
}

function sensitivity(block: MoeBlockSpec) {
  return measureSensitivity(block, new GaussianProbes(2, tokens / 2, block.hiddenSize, 3), testRuntime, quietJob());
}

test('damage at the trained number is exactly zero, and depends on no other layer', async () => {
  const before = await blocksOf(plain, 'before');
  const tensors = plain.tensors.map((tensor) =>
    tensor.name.includes('layers.1.') ? tensor : { ...tensor, fanIn: 7 * tensor.shape.at(-1)! },
  );
  const after = await blocksOf({ ...plain, tensors }, 'after');
  const [first, again] = [await sensitivity(before[1]!), await sensitivity(after[1]!)];
  expect(first.raw.at(-1)).toBe(0);
  expect(first.relativeSquared.at(-1)).toBe(0);
  expect(first.raw[0]).toBeGreaterThan(0);
  expect({ ...again }).toEqual({ ...first });
  // The other layers are other ones.
  expect((await sensitivity(after[0]!)).raw[0]).not.toBeCloseTo((await sensitivity(before[0]!)).raw[0]!, 3);
});

test('with equal experts fewer of them change nothing where gates are divided by their sum, and something where they are not', async () => {
  const equalExperts = async (checkpoint: TinyCheckpoint, folder: string) => {
    const block = (await blocksOf(checkpoint, folder)).at(-1)!;
    return sensitivity({ ...block, experts: block.experts.map(() => block.experts[0]!) });
  };
  const { raw, outputNorm } = await equalExperts(renormalising, 'equal-renormalising');
  raw.forEach((damage) => {
    expect(damage).toBeLessThan(1e-6 * outputNorm);
  });
  const shrinking = await equalExperts(plain, 'equal-plain');
  shrinking.raw.slice(0, -1).forEach((damage) => {
    expect(damage).toBeGreaterThan(0.01 * shrinking.outputNorm);
  });
});

test('a gate reference of k gives what the stock runtime gives at k, a larger one shrinks it', async () => {
  const block = (await blocksOf(renormalising, 'reference')).at(-1)!;
  const probes = new GaussianProbes(1, tokens, block.hiddenSize, 5);
  const x = probes.batch(0);
  const run = (gateReference: number | undefined, k: number) =>
    runBlock({ ...block, router: { ...block.router, gateReference } }, x, k, testRuntime, quietJob());
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  for (let k = 1; k <= block.activeExperts; k += 1) {
    const stock = await run(undefined, k);
    const same = await run(k, k);
    expect(norm(same.map((value, at) => value - stock[at]!))).toBeLessThan(1e-6 * norm(stock));
    if (k < block.activeExperts) {
      expect(norm(await run(block.activeExperts, k))).toBeLessThan(0.99 * norm(stock));
    }
  }
});
