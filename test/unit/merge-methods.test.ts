import { describe, expect, it } from 'vitest';
import { exactCounts, mergeDamage } from '../../engine/methods/merge/exactCounts';
import { groupLayer, type GroupLimits } from '../../engine/methods/merge/groupLayer';
import { dominantCounts } from '../../engine/methods/merge/mSmoe';
import { mergeMethods } from '../../engine/methods/merge/registry';
import { mergeMethodNames } from '../../engine/protocol/merging';
import { randomLayer, reordered } from '../support/mergeStatistics';

const experts = 12;
const all = Array.from({ length: experts }, (_, at) => at);

function limits(count: number, changes: Partial<GroupLimits> = {}): GroupLimits {
  return { experts: all, count, pinned: new Set(), routerGroups: 1, ...changes };
}

/** Groups as sets, so that order does not matter; heads apart. */
function shape(groups: readonly (readonly number[])[]): string[] {
  return groups.map(([head, ...others]) => `${head}:${others.sort((a, b) => a - b).join(',')}`).sort();
}

describe.each(mergeMethodNames)('%s', (name) => {
  const method = mergeMethods[name];

  it('puts every expert in exactly one of as many groups as asked for', () => {
    for (let seed = 0; seed < 10; seed += 1) {
      for (const count of [1, 3, 9, 12]) {
        const groups = groupLayer(method, randomLayer(seed, experts), limits(count));
        expect(groups).toHaveLength(count);
        expect(groups.flat().sort((a, b) => a - b)).toEqual(all);
      }
    }
  });

  it('leaves all alone where nobody has to go', () => {
    expect(groupLayer(method, randomLayer(1, experts), limits(experts))).toEqual(all.map((expert) => [expert]));
  });

  it('does not depend on the order of experts', () => {
    const order = [5, 2, 9, 0, 11, 7, 1, 3, 10, 4, 8, 6];
    for (let seed = 0; seed < 10; seed += 1) {
      const layer = randomLayer(seed, experts);
      const groups = groupLayer(method, reordered(layer, order), limits(5));
      const renamed = groups.map((group) => group.map((expert) => order[expert]!));
      expect(shape(renamed)).toEqual(shape(groupLayer(method, layer, limits(5))));
    }
  });

  it('merges protected experts with nothing', () => {
    const groups = groupLayer(method, randomLayer(2, experts), limits(5, { pinned: new Set([0, 7]) }));
    expect(groups).toHaveLength(5);
    expect(groups).toContainEqual([0]);
    expect(groups).toContainEqual([7]);
  });

  it('keeps to the groups of the router, equally many in each', () => {
    const groups = groupLayer(method, randomLayer(3, experts), limits(6, { routerGroups: 3 }));
    const partOf = (expert: number) => Math.floor(expert / 4);
    for (const group of groups) {
      expect(new Set(group.map(partOf)).size).toBe(1);
    }
    expect([0, 1, 2].map((part) => groups.filter(([head]) => partOf(head!) === part).length)).toEqual([2, 2, 2]);
  });

  it('groups what pruning left', () => {
    const left = [0, 3, 4, 8, 9, 11];
    const groups = groupLayer(method, randomLayer(4, experts), limits(3, { experts: left }));
    expect(groups.flat().sort((a, b) => a - b)).toEqual(left);
  });

  it('gives the same groups twice', () => {
    expect(groupLayer(method, randomLayer(6, experts), limits(4))).toEqual(
      groupLayer(method, randomLayer(6, experts), limits(4)),
    );
  });

  it('refuses what cannot be', () => {
    const refused = expect.objectContaining({ code: 'infeasibleBudget' }) as Error;
    const layer = randomLayer(1, experts);
    expect(() => groupLayer(method, layer, limits(5, { pinned: new Set([0, 1, 2, 3, 4]) }))).toThrow(refused);
    expect(() => groupLayer(method, layer, limits(5, { routerGroups: 2 }))).toThrow(refused);
  });
});

describe('what the methods look at', () => {
  it('M-SMoE keeps the most used experts and joins by router logits', () => {
    const layer = randomLayer(8, experts);
    const groups = groupLayer(mergeMethods['m-smoe'], layer, limits(4));
    const dominant = [...all].sort((a, b) => layer.total.counts[b]! - layer.total.counts[a]!).slice(0, 4);
    expect(groups.map(([head]) => head)).toEqual(dominant.sort((a, b) => a - b));
    const cosine = (a: number, b: number) =>
      layer.logitProducts[a * experts + b]! /
      Math.sqrt(layer.logitProducts[a * (experts + 1)]! * layer.logitProducts[b * (experts + 1)]!);
    for (const [head, ...others] of groups) {
      for (const expert of others) {
        expect(dominant.every((other) => cosine(expert, other) <= cosine(expert, head!))).toBe(true);
      }
    }
  });

  it('REAM fills the group of the most salient expert first, up to sixteen', () => {
    const layer = randomLayer(9, 40);
    const groups = groupLayer(
      mergeMethods.ream,
      layer,
      limits(10, { experts: Array.from({ length: 40 }, (_, at) => at) }),
    );
    const sizes = groups.map((group) => group.length).sort((a, b) => b - a);
    expect(sizes).toEqual([16, 16, 1, 1, 1, 1, 1, 1, 1, 1]);
    const saliency = layer.total.contributionNorms.map((sum, at) => sum / layer.total.counts[at]!);
    const best = saliency.indexOf(Math.max(...saliency));
    expect(groups.find(([head]) => head === best)).toHaveLength(16);
  });

  it('the head of a cluster is its most used member', () => {
    const layer = randomLayer(10, experts);
    for (const group of groupLayer(mergeMethods['hc-smoe'], layer, limits(4))) {
      expect(Math.max(...group.map((expert) => layer.total.counts[expert]!))).toBe(layer.total.counts[group[0]!]);
    }
  });

  it('chooses dominant experts over all layers, between the bounds', () => {
    const layers = [1, 2, 3].map((seed) => [...randomLayer(seed, experts).total.counts]);
    const counts = dominantCounts(layers, 20, [2, 2, 2], [12, 12, 12]);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(2);
    const relative = layers.map((own) => own.map((count) => count / Math.max(...own)).sort((a, b) => b - a));
    // Beyond the bounds the least used of the chosen is used at least as much as the most used of the others.
    const left = Math.max(...counts.map((count, layer) => relative[layer]![count] ?? 0));
    counts.forEach((count, layer) => {
      expect(count === 2 || relative[layer]![count - 1]! >= left).toBe(true);
    });
    expect(dominantCounts(layers, 36, [2, 2, 2], [12, 12, 12])).toEqual([12, 12, 12]);
  });
});

describe('numbers of groups by predicted damage', () => {
  const method = mergeMethods.ream;

  it('is the loss of computing the mean of the outputs, which single tokens give as well', () => {
    const layer = randomLayer(4);
    const { hiddenSize } = layer;
    // One sampled token: its outputs are the rows that the Gram matrix of the random layer is made of.
    const outputs = layer.dense!.meanOutputs;
    const one = { ...layer, dense: { ...layer.dense!, tokens: 1 }, outputSquares: 7 };
    const weights = [1, 2, 3, 4, 5, 6, 7, 8];
    const groups = [[2, 0], [1], [7, 3, 4], [6, 5]];
    let expected = 0;
    for (const group of groups) {
      const total = group.reduce((sum, expert) => sum + weights[expert]!, 0);
      for (const expert of group) {
        for (let at = 0; at < hiddenSize; at += 1) {
          const mean = group.reduce(
            (sum, other) => sum + (weights[other]! / total) * outputs[other * hiddenSize + at]!,
            0,
          );
          expected += (layer.total.gateSquares[expert]! * (outputs[expert * hiddenSize + at]! - mean) ** 2) / 7;
        }
      }
    }
    expect(mergeDamage(one, groups, weights)).toBeCloseTo(expected, 4);
    expect(mergeDamage(one, [[0], [1], [2], [3], [4], [5], [6], [7]], weights)).toBe(0);
  });

  it('is the least of all numbers with the same total', () => {
    const layers = [1, 2, 3].map((seed) => {
      const statistics = randomLayer(seed);
      const experts = Array.from({ length: 8 }, (_, at) => at);
      const groups = (count: number) => groupLayer(method, statistics, { ...limits(count), experts });
      return { statistics, fewest: 2, most: 8, groups };
    });
    const damage = (counts: readonly number[]) =>
      counts.reduce((sum, count, at) => {
        const { statistics, groups } = layers[at]!;
        return sum + mergeDamage(statistics, groups(count), method.weights(statistics));
      }, 0);
    for (const total of [8, 13, 18, 24]) {
      const counts = exactCounts(layers, method, total);
      let least = Infinity;
      for (let first = 2; first <= 8; first += 1) {
        for (let second = 2; second <= 8; second += 1) {
          const third = Math.min(8, total - first - second);
          if (third >= 2) {
            least = Math.min(least, damage([first, second, third]));
          }
        }
      }
      expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(total);
      expect(damage(counts)).toBeLessThanOrEqual(least + 1e-9);
    }
  });
});
