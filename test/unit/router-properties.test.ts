import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runRouter, type RouterPipeline } from '../support/routerRun';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';

const folder = mkdtempSync(path.join(tmpdir(), 'router-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const experts = 12;
const base = { scale: 1, apply: 'output' } as const;
const sum = { kind: 'sum', epsilon: 1e-20 } as const;
const groupOf3 = { count: 4, kept: 2, score: 'top2-sum', fill: 'negative-infinity' } as const;

/** Every pipeline of the family table that differs in more than a number. */
const pipelines: readonly (readonly [string, RouterPipeline])[] = [
  ['softmax', { ...base, score: 'softmax', gates: { kind: 'score' } }],
  ['softmax, renormalised', { ...base, score: 'softmax', gates: { kind: 'sum', epsilon: 0 } }],
  ['softmax, clamped sum', { ...base, score: 'softmax', gates: { kind: 'clamped-sum', minimum: 0.3 } }],
  ['softmax, p-norm', { ...base, score: 'softmax', gates: { kind: 'p-norm', p: 2 } }],
  [
    'softmax, best groups',
    {
      ...base,
      score: 'softmax',
      groups: { count: 4, kept: 2, score: 'max', fill: 'zero' },
      gates: { kind: 'score' },
      scale: 16,
    },
  ],
  ['softmax of the chosen', { ...base, score: 'logits', gates: { kind: 'softmax-chosen' } }],
  ['sigmoid of the chosen', { ...base, score: 'logits', gates: { kind: 'sigmoid-chosen', divided: false } }],
  ['sigmoid, renormalised', { ...base, score: 'sigmoid', gates: sum, scale: 2.5 }],
  ['sigmoid, best groups', { ...base, score: 'sigmoid', groups: groupOf3, gates: sum, scale: 2.5 }],
  ['sigmoid, soft cap', { ...base, score: 'sigmoid', softcap: 2, gates: sum }],
];
const ungrouped = pipelines.filter(([, { groups }]) => groups === undefined);

const gaussian = gaussianSource('router logits', 1);
const logits = Array.from({ length: 16 }, () => Array.from({ length: experts }, () => 2 * gaussian()));
const bias = Array.from({ length: experts }, () => 0.2 * gaussian());

describe.each(ungrouped)('%s', (_, pipeline) => {
  test('kept rows decide as if the others had been cut out of the weights', async () => {
    const keptRows = [1, 2, 5, 6, 9, 11];
    const pick = (row: readonly number[]) => keptRows.map((expert) => row[expert]!);
    const cut = await runRouter(folder, pipeline, logits.map(pick), 3, pick(bias), pick(bias));
    const kept = await runRouter(folder, { ...pipeline, keptRows }, logits, 3, bias, bias);
    expect(kept.experts).toEqual(cut.experts);
    expectClose(kept.gates, cut.gates);
  });

  test('gates with a reference are the first of the gates at that reference', async () => {
    const wide = await runRouter(folder, pipeline, logits, 6, bias);
    for (const k of [1, 4, 6]) {
      const narrow = await runRouter(folder, { ...pipeline, gateReference: 6 }, logits, k, bias);
      expect(narrow.experts).toEqual(wide.experts.map((row) => row.slice(0, k)));
      expectClose(
        narrow.gates,
        wide.gates.map((row) => row.slice(0, k)),
      );
    }
    const beyond = await runRouter(folder, { ...pipeline, gateReference: 2 }, logits, 6, bias);
    expectClose(beyond.gates, wide.gates);
  });

  const permutation = [7, 2, 11, 0, 5, 9, 1, 3, 10, 4, 8, 6];

  test('permuting the experts permutes the choice and keeps the gates', async () => {
    const plain = await runRouter(folder, pipeline, logits, 4, bias);
    const permuted = await runRouter(
      folder,
      pipeline,
      logits.map((row) => permutation.map((expert) => row[expert]!)),
      4,
      permutation.map((expert) => bias[expert]!),
    );
    expect(permuted.experts.map((row) => row.map((expert) => permutation[expert]))).toEqual(plain.experts);
    expectClose(permuted.gates, plain.gates);
  });

  test('ties go to the lower index', async () => {
    const { experts: chosen } = await runRouter(folder, pipeline, [Array<number>(experts).fill(0.5)], 5);
    expect(chosen).toEqual([[0, 1, 2, 3, 4]]);
    const row = Array.from({ length: experts }, (_, expert) => (expert === 3 || expert === 8 ? 2 : -expert));
    expect((await runRouter(folder, pipeline, [row], 1)).experts).toEqual([[3]]);
  });

  test('an expert at minus infinity is never chosen while another is left', async () => {
    const mask = logits[0]!.map((_value, expert) => (expert === 4 ? -Infinity : 0));
    const { experts: chosen, gates } = await runRouter(folder, pipeline, logits, experts - 1, undefined, mask);
    expect(chosen.flat()).not.toContain(4);
    expect(gates.flat().every(Number.isFinite)).toBe(true);
  });
});

describe.each(pipelines)('%s', (_, pipeline) => {
  test('k = 1 takes the best of a larger choice, and the choice is nested in k', async () => {
    const [one, three, six] = await Promise.all([1, 3, 6].map((k) => runRouter(folder, pipeline, logits, k, bias)));
    logits.forEach((_row, token) => {
      expect(six!.experts[token]!.slice(0, 3)).toEqual(three!.experts[token]);
      expect(three!.experts[token]!.slice(0, 1)).toEqual(one!.experts[token]);
    });
  });

  test('the bias chooses and never weighs', async () => {
    const favoured = bias.map((_value, expert) => (expert === 6 ? 100 : 0));
    const { experts: chosen } = await runRouter(folder, pipeline, logits, 1, favoured);
    expect(chosen.flat()).toEqual(logits.map(() => 6));
    const shifted = await runRouter(folder, pipeline, logits, 4, Array<number>(experts).fill(7));
    const plain = await runRouter(folder, pipeline, logits, 4, Array<number>(experts).fill(0));
    if (pipeline.groups?.fill !== 'zero') {
      expect(shifted.experts).toEqual(plain.experts);
      expectClose(shifted.gates, plain.gates);
    }
  });
});

describe.each(ungrouped)('%s', (_, pipeline) => {
  test('k = E takes every expert once', async () => {
    const { experts: chosen } = await runRouter(folder, pipeline, logits, experts, bias);
    chosen.forEach((row) => {
      expect([...row].sort((a, b) => a - b)).toEqual(Array.from({ length: experts }, (__, expert) => expert));
    });
  });

  test('a large negative bias is removal of the expert, where all scores do not share a denominator', async () => {
    const removed = 5;
    // Probabilities grow when an expert leaves the softmax, a bias on them does not.
    const kept = pipeline.score === 'softmax' ? bias.map(() => 0) : bias;
    const masking = await runRouter(
      folder,
      pipeline,
      logits,
      4,
      kept.map((value, expert) => (expert === removed ? -1e4 : value)),
    );
    const without = await runRouter(
      folder,
      pipeline,
      logits.map((row) => row.filter((_value, expert) => expert !== removed)),
      4,
      kept.filter((_value, expert) => expert !== removed),
    );
    const renumbered = without.experts.map((row) => row.map((expert) => (expert < removed ? expert : expert + 1)));
    expect(masking.experts).toEqual(renumbered);
    const immune = pipeline.score !== 'softmax' || ['sum', 'p-norm'].includes(pipeline.gates.kind);
    if (immune) {
      expectClose(masking.gates, without.gates);
    }
  });
});

test('only experts of the kept groups are chosen, and the groups are the best', async () => {
  const { experts: chosen } = await runRouter(
    folder,
    { ...base, score: 'sigmoid', groups: groupOf3, gates: sum },
    logits,
    6,
  );
  logits.forEach((row, token) => {
    const scores = Array.from({ length: 4 }, (_, group) => {
      const [first, second] = row
        .slice(3 * group, 3 * group + 3)
        .map((value) => 1 / (1 + Math.exp(-value)))
        .sort((a, b) => b - a);
      return { group, score: first! + second! };
    }).sort((a, b) => b.score - a.score);
    const kept = scores.slice(0, 2).map(({ group }) => group);
    expect([...new Set(chosen[token]!.map((expert) => Math.floor(expert / 3)))].sort()).toEqual(kept.sort());
  });
});

test('the sparse mixer takes two experts, weighs each among its rivals, and ignores k', async () => {
  const pipeline = { ...base, score: 'softmax', gates: { kind: 'score' }, sparseMixer: { threshold: 0.01 } } as const;
  const row = [1, 1.005, -3, 0.2, 1.005];
  for (const k of [1, 2]) {
    const { experts: chosen, gates } = await runRouter(folder, pipeline, [row], k);
    expect(chosen).toEqual([[1, 4]]);
    const near = Math.exp(1 - 1.005);
    expectClose(gates, [[1 / (2 + near), 1 / (1 + near)]]);
  }
});

function expectClose(actual: readonly (readonly number[])[], expected: readonly (readonly number[])[]): void {
  expect(actual.map((row) => row.length)).toEqual(expected.map((row) => row.length));
  actual.forEach((row, token) => {
    row.forEach((value, rank) => {
      expect(Math.abs(value - expected[token]![rank]!)).toBeLessThan(2e-6 * Math.max(1, Math.abs(value)));
    });
  });
}
