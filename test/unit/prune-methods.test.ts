import { describe, expect, test } from 'vitest';
import { TunerError } from '../../engine/protocol/errors';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { aimer, peakedness, weightSums } from '../../engine/methods/prune/aimer';
import { jointContributions, hope } from '../../engine/methods/prune/hope';
import { keepBest } from '../../engine/methods/prune/keepBest';
import type { LayerRanking, PruneMethodOf, WeighedLayer } from '../../engine/methods/prune/method';
import { mone } from '../../engine/methods/prune/mone';
import { keptSets, naee } from '../../engine/methods/prune/naee';
import { missingShare, omp, pursue } from '../../engine/methods/prune/omp';
import { minimiseQuadratic } from '../../engine/methods/prune/quadraticChoice';
import { pruneMethods } from '../../engine/methods/prune/registry';
import { routerChange } from '../../engine/methods/prune/routerChange';
import { behaviourClusters, rowDistances, stun } from '../../engine/methods/prune/stun';
import { meanOutputs } from '../../engine/transform/replacedExperts';
import { failureOf } from '../support/failureOf';
import { free, measured, permuted, randomTokens, statisticsOf, subsets } from '../support/pruneLayers';

const statisticsMethods = Object.values(pruneMethods).filter(
  (method): method is Extract<typeof method, PruneMethodOf<'statistics'>> => method.needs === 'statistics',
);
const experts = 10;
const order = new SeededRandom(5).shuffle([...Array(experts).keys()]);

async function keepOf(ranking: LayerRanking, count: number): Promise<number[]> {
  return [...(await ranking.keep(free(count)))];
}

function weighed(seed: number, renamed?: readonly number[]): WeighedLayer {
  const random = new SeededRandom(seed);
  const row = () => Float32Array.from({ length: 6 }, () => 2 * random.uniform() - 1);
  const rows = Array.from({ length: experts }, row);
  const matrices = rows.map((own) => {
    const spread = 0.5 + random.uniform();
    return [own.map((value) => value ** 3 * spread), Float32Array.from({ length: 8 }, () => random.uniform() * spread)];
  });
  const names = renamed ?? rows.map((_, expert) => expert);
  return {
    index: 0,
    experts,
    hiddenSize: 6,
    routerRows: () => Promise.resolve(Float32Array.from(names.flatMap((old) => [...rows[old]!]))),
    expertWeights: (expert) => Promise.resolve(matrices[names[expert]!]!),
  };
}

describe.each(statisticsMethods)('$name', (method) => {
  test.each([1, 2, 3])('renaming the experts renames the answer (seed %i)', async (seed) => {
    // Enough tokens that no two experts were chosen equally often: equal scores are told apart by their names.
    const tokens = randomTokens(seed, experts, 3, 1000);
    expect(new Set(statisticsOf(tokens, 3).total.counts).size).toBe(experts);
    const ranking = await method.rank(measured(statisticsOf(tokens, 3)), 0);
    const renamed = await method.rank(measured(statisticsOf(permuted(tokens, order), 3)), 0);
    for (const count of [9, 7, 5, 3]) {
      const expected = (await keepOf(ranking, count)).map((old) => order.indexOf(old)).sort((a, b) => a - b);
      expect(await keepOf(renamed, count)).toEqual(expected);
    }
    order.forEach((old, now) => {
      expect(renamed.scores[now]).toBeCloseTo(ranking.scores[old]!, 10);
    });
  });

  test('keeps everything where nothing goes, and gives the same answer twice', async () => {
    const statistics = statisticsOf(randomTokens(9, experts, 3, 100), 3);
    const ranking = await method.rank(measured(statistics), 0);
    expect(await keepOf(ranking, experts)).toEqual([...Array(experts).keys()]);
    expect(await keepOf(await method.rank(measured(statistics), 0), 6)).toEqual(await keepOf(ranking, 6));
  });

  test('an expert that nobody chose goes first, and scores are numbers', async () => {
    const tokens = randomTokens(4, experts, 3, 150).map(({ gates, outputs }) => ({
      gates: gates.map((gate, expert) => (expert === 6 ? 0 : gate)),
      outputs,
    }));
    const ranking = await method.rank(measured(statisticsOf(tokens, 3)), 0);
    expect(ranking.scores.every((score) => Number.isFinite(score))).toBe(true);
    // OMP may find an expert that makes the sum worse, and would rather miss that one.
    if (method.name !== 'omp') {
      expect(ranking.scores[6]).toBe(Math.min(...ranking.scores));
    }
  });

  test('groups keep the same number and pinned experts stay', async () => {
    const ranking = await method.rank(measured(statisticsOf(randomTokens(11, experts, 3, 150), 3)), 0);
    const worst = (await keepOf(ranking, experts))
      .filter((expert) => expert < 5)
      .sort((a, b) => ranking.scores[a]! - ranking.scores[b]!)[0]!;
    const keep = await ranking.keep({ count: 4, pinned: new Set([worst]), groups: 2 });
    expect(keep).toContain(worst);
    expect(keep.filter((expert) => expert < 5)).toHaveLength(2);
    expect(keep).toHaveLength(4);
    expect([...keep].sort((a, b) => a - b)).toEqual(keep);
  });
});

test('scores of the closed forms are the means and sums over tokens they claim to be', async () => {
  const tokens = randomTokens(21, experts, 3, 80);
  const layer = measured(statisticsOf(tokens, 3));
  const byHand = (value: (gate: number, norm: number) => number, mean: boolean) =>
    Array.from({ length: experts }, (_, expert) => {
      const own = tokens.filter(({ gates }) => gates[expert]! > 0);
      const sum = own.reduce(
        (all, { gates, outputs }) => all + value(gates[expert]!, Math.hypot(...outputs[expert]!)),
        0,
      );
      return own.length === 0 ? 0 : mean ? sum / own.length : sum;
    });
  const expected = {
    frequency: byHand(() => 1, false),
    'gate-mass': byHand((gate) => gate, false),
    ean: byHand((_, norm) => norm, false),
    man: byHand((_, norm) => norm, true),
    msan: byHand((_, norm) => norm ** 2, true),
    reap: byHand((gate, norm) => gate * norm, true),
  };
  for (const [name, scores] of Object.entries(expected)) {
    const ranking = await pruneMethods[name as keyof typeof expected].rank(layer, 0);
    scores.forEach((score, expert) => {
      expect(ranking.scores[expert], `${name} ${expert}`).toBeCloseTo(score, 10);
    });
  }
});

describe('HOPE', () => {
  test('with means over all tokens pᵀFp is the mean square of the summed contributions that go', () => {
    const tokens = randomTokens(2, experts, 3, 60);
    const { contributionProducts } = statisticsOf(tokens, 3);
    const going = [1, 4, 7];
    const quadratic = going
      .flatMap((i) => going.map((j) => contributionProducts[i * experts + j]!))
      .reduce((a, b) => a + b, 0);
    const byHand = tokens.reduce(
      (sum, { gates, outputs }) =>
        sum + going.reduce((own, expert) => own + gates[expert]! * Math.hypot(...outputs[expert]!), 0) ** 2,
      0,
    );
    expect(quadratic).toBeCloseTo(byHand, 9);
  });

  test.each([1, 2, 3, 4, 5, 6])('finds the cheapest set of all, or one within 2 %% of it (seed %i)', async (seed) => {
    const statistics = statisticsOf(randomTokens(seed, experts, 4, 120), 4);
    const matrix = jointContributions(statistics.contributionProducts, statistics.coactivation);
    const cost = (keep: readonly number[]) => {
      const going = [...Array(experts).keys()].filter((expert) => !keep.includes(expert));
      return going.flatMap((i) => going.map((j) => matrix[i * experts + j]!)).reduce((a, b) => a + b, 0);
    };
    const found = cost(await keepOf(await hope.rank(measured(statistics), 0), 5));
    const best = Math.min(...subsets(experts, 5).map(cost));
    expect(found).toBeGreaterThanOrEqual(best - 1e-12);
    expect(found).toBeLessThanOrEqual(best * 1.02);
  });

  test('without joint terms it is the ranking of the diagonal', () => {
    const diagonal = [5, 1, 4, 2, 3];
    const matrix = Float64Array.from({ length: 25 }, (_, at) => (at % 6 === 0 ? diagonal[at / 6]! : 0));
    expect(minimiseQuadratic(matrix, 5, free(3))).toEqual(keepBest(diagonal, free(3)));
  });
});

describe('OMP', () => {
  test.each([1, 2, 3])('the gain of every step is the drop of the squared residual (seed %i)', (seed) => {
    const tokens = randomTokens(seed, experts, 3, 50);
    const { contributionGram } = statisticsOf(tokens, 3);
    const residual = (kept: readonly number[]) =>
      tokens.reduce((sum, { gates, outputs }) => {
        const rest = outputs[0]!.map((_, channel) =>
          gates.reduce(
            (own, gate, expert) => (kept.includes(expert) ? own : own + gate * outputs[expert]![channel]!),
            0,
          ),
        );
        return sum + rest.reduce((own, value) => own + value ** 2, 0);
      }, 0);
    const kept: number[] = [];
    for (const { expert, gain } of pursue(contributionGram, experts, free(experts))) {
      const before = residual(kept);
      const gains = [...Array(experts).keys()]
        .filter((other) => !kept.includes(other))
        .map((other) => before - residual([...kept, other]));
      kept.push(expert);
      expect(gain).toBeCloseTo(before - residual(kept), 8);
      expect(gain).toBeCloseTo(Math.max(...gains), 8);
    }
    expect(missingShare(contributionGram, experts, [0, 3])).toBeCloseTo(residual([0, 3]) / residual([]), 10);
  });

  test('one task alone has no pairs to compare where calibration left them out', () => {
    const layer = { ...measured(statisticsOf(randomTokens(1, experts, 3, 20), 3)), pairs: undefined, allTexts: false };
    expect(() => omp.rank(layer, 0)).toThrow(TunerError);
    expect(() => hope.rank(layer, 0)).toThrow(/task by task/);
  });
});

describe('MoNE', () => {
  const tokens = randomTokens(4, experts, 3, 60);

  test('is the mean gate times the spread of the outputs around their mean', () => {
    const layer = measured(statisticsOf(tokens, 3));
    const { scores } = mone.rank(layer, 0) as LayerRanking;
    scores.forEach((score, expert) => {
      const chosen = tokens.filter(({ gates }) => gates[expert]! > 0);
      const outputs = chosen.map((token) => token.outputs[expert]!);
      if (outputs.length === 0) {
        expect(score).toBe(0);
        return;
      }
      const variance = outputs[0]!
        .map((_, at) => {
          const mean = outputs.reduce((sum, output) => sum + output[at]!, 0) / outputs.length;
          return outputs.reduce((sum, output) => sum + (output[at]! - mean) ** 2, 0) / outputs.length;
        })
        .reduce((sum, value) => sum + value, 0);
      const gate = chosen.reduce((sum, { gates }) => sum + gates[expert]!, 0) / tokens.length;
      expect(score).toBeCloseTo(gate * Math.sqrt(variance), 5);
    });
  });

  test('an expert that always says the same goes first, and its mean output is what it says', () => {
    const constant = [0.5, -2, 1, 0.25];
    const { counts } = statisticsOf(tokens, 3).total;
    const often = counts.indexOf(Math.max(...counts));
    const same = tokens.map(({ gates, outputs }) => ({
      gates,
      outputs: outputs.map((output, expert) => (expert === often ? constant : output)),
    }));
    const statistics = statisticsOf(same, 3);
    const ranking = mone.rank(measured(statistics), 0) as LayerRanking;
    expect(ranking.scores[often]).toBeCloseTo(0, 3);
    const chosen = [...counts.keys()].filter((expert) => counts[expert]! > 1);
    expect(chosen.length).toBeGreaterThan(5);
    chosen
      .filter((expert) => expert !== often)
      .forEach((expert) => {
        expect(ranking.scores[expert]).toBeGreaterThan(ranking.scores[often]!);
      });
    expect([...meanOutputs(statistics).slice(4 * often, 4 * often + 4)]).toEqual(constant);
  });

  test('single tasks have no mean outputs', () => {
    expect(() => mone.rank({ ...measured(statisticsOf(tokens, 3)), allTexts: false }, 0)).toThrow(/task by task/);
  });
});

describe('AIMER', () => {
  test('does not change with the scale and stays inside its bounds', () => {
    const random = new SeededRandom(8);
    const values = Float32Array.from({ length: 4096 }, () => random.uniform() - 0.5);
    const one = peakedness(weightSums([values]));
    expect(peakedness(weightSums([values.map((value) => 16 * value)]))).toBeCloseTo(one, 6);
    expect(one).toBeGreaterThanOrEqual(1);
    expect(one).toBeLessThanOrEqual(Math.sqrt(values.length));
    // Uniform weights on [-a, a]: mean|w| / rms = sqrt(3) / 2.
    expect(1 / one).toBeCloseTo(Math.sqrt(3) / 2, 1);
    expect(peakedness(weightSums([Float32Array.of(1, 1, -1, -1)]))).toBe(1);
    expect(peakedness(weightSums([Float32Array.of(0, 0, 5, 0)]))).toBe(2);
    expect(peakedness(weightSums([new Float32Array(4)]))).toBe(0);
  });

  test('lets the flattest expert go', async () => {
    const layer = weighed(3);
    const ranking = await aimer.rank(
      {
        ...layer,
        expertWeights: (expert) =>
          expert === 4 ? Promise.resolve([new Float32Array(14).fill(0.3)]) : layer.expertWeights(expert),
      },
      0,
    );
    expect(await keepOf(ranking, experts - 1)).not.toContain(4);
  });
});

describe('weight-only methods', () => {
  const names = ['aimer', 'weight-norm', 'router-norm', 'stun'] as const;
  test.each(names)('%s: renaming the experts renames the answer', async (name) => {
    const ranking = await pruneMethods[name].rank(weighed(17), 0);
    const renamed = await pruneMethods[name].rank(weighed(17, order), 0);
    for (const count of [8, 5, 2]) {
      const expected = (await keepOf(ranking, count)).map((old) => order.indexOf(old)).sort((a, b) => a - b);
      expect(await keepOf(renamed, count), `${count} stay`).toEqual(expected);
    }
  });
});

describe('STUN', () => {
  test('experts with the same router row share a cluster first; clusters are nested and complete', async () => {
    const layer = weighed(23);
    const rows = await layer.routerRows();
    rows.set(rows.subarray(12, 18), 42);
    const distances = rowDistances(rows, experts);
    let finer = behaviourClusters(distances, experts, free(experts));
    expect(finer).toHaveLength(experts);
    expect(behaviourClusters(distances, experts, free(experts - 1))).toContainEqual([2, 7]);
    for (let count = experts - 1; count >= 1; count -= 1) {
      const clusters = behaviourClusters(distances, experts, free(count));
      expect(clusters).toHaveLength(count);
      expect(clusters.flat().sort((a, b) => a - b)).toEqual([...Array(experts).keys()]);
      for (const cluster of finer) {
        expect(clusters.some((coarse) => cluster.every((expert) => coarse.includes(expert)))).toBe(true);
      }
      finer = clusters;
    }
  });

  test('of three alike the one nearest to their mean stays', async () => {
    const weights = [1, 2.2, 3, 50].map((value) => [Float32Array.of(value, value)]);
    const layer: WeighedLayer = {
      index: 0,
      experts: 4,
      hiddenSize: 1,
      routerRows: () => Promise.resolve(Float32Array.of(1, 1.01, 1.02, 9)),
      expertWeights: (expert) => Promise.resolve(weights[expert]!),
    };
    expect(await keepOf(await stun.rank(layer, 0), 2)).toEqual([1, 3]);
  });
});

describe('router change', () => {
  const compared = (change: (rows: Float32Array) => Float32Array) => {
    const layer = weighed(31);
    return { ...layer, baseRouterRows: async () => change(await layer.routerRows()) };
  };

  test('refuses where nothing changed', async () => {
    const failure = await failureOf(
      Promise.resolve().then(() =>
        routerChange.rank(
          compared((rows) => rows),
          0,
        ),
      ),
    );
    expect(failure.code).toBe('usage');
    expect(failure.message).toMatch(/same norms/);
    expect(failure.details.wayOut).toMatch(/fine-tuned from/);
  });

  test('keeps the rows that grew, whatever the scale of both routers', async () => {
    const layer = compared((rows) =>
      rows.map((value, at) => (Math.floor(at / 6) === 2 ? value / 3 : Math.floor(at / 6) === 5 ? value * 3 : value)),
    );
    const ranking = await routerChange.rank(layer, 0);
    expect(await keepOf(ranking, 1)).toEqual([2]);
    expect(await keepOf(ranking, experts - 1)).not.toContain(5);
    const scaled = await routerChange.rank(
      {
        ...layer,
        routerRows: async () => (await layer.routerRows()).map((value) => 4 * value),
        baseRouterRows: async () => (await layer.baseRouterRows()).map((value) => 4 * value),
      },
      0,
    );
    expect(await keepOf(scaled, 6)).toEqual(await keepOf(ranking, 6));
  });
});

describe('NAEE', () => {
  /** A made-up loss that is not additive: pairs of neighbours hurt together. */
  const pairwise = (seed: number, size: number) => {
    const random = new SeededRandom(seed);
    const own = Array.from({ length: size }, () => random.uniform());
    return (keep: readonly number[]) => {
      const going = [...Array(size).keys()].filter((expert) => !keep.includes(expert));
      const pairs = going.filter((expert) => going.includes(expert + 1)).length;
      return Promise.resolve(going.reduce((sum, expert) => sum + own[expert]!, 0) + 0.7 * pairs);
    };
  };

  test.each([1, 2, 3])('tries every set of eight experts (seed %i)', async (seed) => {
    const loss = pairwise(seed, 8);
    const ranking = await naee.rank({ index: 0, experts: 8, loss }, 0);
    const losses = await Promise.all(subsets(8, 5).map(loss));
    expect(await loss(await keepOf(ranking, 5))).toBe(Math.min(...losses));
    expect(keptSets(8, free(5), 256)).toHaveLength(56);
  });

  test('the lazy elimination finds what trying every expert in every step finds', async () => {
    const size = 20;
    const loss = pairwise(4, size);
    let calls = 0;
    const counted = (keep: readonly number[]) => {
      calls += 1;
      return loss(keep);
    };
    const ranking = await naee.rank({ index: 0, experts: size, loss: counted }, 0);
    const found = await keepOf(ranking, 10);
    let expected = [...Array(size).keys()];
    while (expected.length > 10) {
      const options = await Promise.all(
        expected.map(async (expert) => {
          const rest = expected.filter((other) => other !== expert);
          return { rest, loss: await loss(rest) };
        }),
      );
      expected = options.reduce((best, option) => (option.loss < best.loss ? option : best)).rest;
    }
    expect(found).toEqual(expected);
    expect(calls).toBeLessThan((size * 10 * 15) / 20);
  });

  test('respects groups and pinned experts', async () => {
    const ranking = await naee.rank({ index: 0, experts: 8, loss: pairwise(6, 8) }, 0);
    const keep = await ranking.keep({ count: 4, pinned: new Set([0]), groups: 2 });
    expect(keep).toContain(0);
    expect(keep.filter((expert) => expert < 4)).toHaveLength(2);
  });
});

test('random: another layer and another seed give other sets, the same ones the same', async () => {
  const set = async (index: number, seed: number) =>
    keepOf(await pruneMethods.random.rank({ index, experts: 64 }, seed), 32);
  expect(await set(0, 1)).toEqual(await set(0, 1));
  expect(await set(0, 1)).not.toEqual(await set(1, 1));
  expect(await set(0, 1)).not.toEqual(await set(0, 2));
});
