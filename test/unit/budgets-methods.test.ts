import { describe, expect, it } from 'vitest';
import { chooseBudgets, layersOfProfile, totalForAverage } from '../../engine/methods/budgets/chooseBudgets';
import { solveEvolutionary } from '../../engine/methods/budgets/evolutionarySolver';
import { solveExact } from '../../engine/methods/budgets/exactSolver';
import { solveGreedy } from '../../engine/methods/budgets/greedySolver';
import { budgetTable, totalLoss } from '../../engine/methods/budgets/lossTable';
import { objectives } from '../../engine/methods/budgets/objectives';
import { sampleAllocation } from '../../engine/methods/budgets/random';
import { uniformAllocation } from '../../engine/methods/budgets/uniform';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { objectiveNames, solverNames } from '../../engine/protocol/budget';
import { TunerError } from '../../engine/protocol/errors';
import { profileOf, randomTable, realisticRows, sum } from '../support/budgetTables';

const tableOf = (rows: readonly (readonly number[])[]): ReturnType<typeof budgetTable> =>
  budgetTable(rows.map((loss, layer) => ({ layer, loss })));

describe('solveGreedy', () => {
  it('never beats the exact solution, and equals it on convex rows', () => {
    const random = new SeededRandom(71);
    for (let repeat = 0; repeat < 100; repeat++) {
      const table = randomTable(
        { layers: 5, choices: 4, withBounds: repeat % 2 === 0, withCosts: repeat % 3 === 0 },
        random,
      );
      const exact = solveExact(table);
      for (const point of solveGreedy(table).points()) {
        expect(point.predicted).toBeGreaterThanOrEqual(exact.at(point.total).predicted);
        expect(point.predicted).toBe(totalLoss(table, point.activeExperts));
      }
    }
    const convex = tableOf(
      Array.from({ length: 6 }, (_, layer) => [16, 9, 4, 1, 0].map((loss) => loss * (layer + 1) ** 2)),
    );
    const exact = solveExact(convex);
    const greedy = solveGreedy(convex);
    expect(greedy.points().map(({ predicted }) => predicted)).toEqual(exact.points().map(({ predicted }) => predicted));
  });

  it('fails where marginal steps mislead: (10, 9, 0) and (3, 1, 0) with a total of 4', () => {
    const greedy = solveGreedy(
      tableOf([
        [10, 9, 0],
        [3, 1, 0],
      ]),
    );
    expect(greedy.at(4)).toEqual({ total: 4, predicted: 10, activeExperts: [2, 2] });
    expect(greedy.atMost(100).predicted).toBe(0);
    expect(() => greedy.at(7)).toThrow(/between 2 and 6/);
    expect(() => greedy.atMost(1)).toThrow(/between 2 and 6/);
  });
});

describe('solveEvolutionary', () => {
  it('never beats the exact solution, keeps the total and the bounds, and repeats for a seed', () => {
    const random = new SeededRandom(73);
    const settings = { population: 20, generations: 200, mutationRate: 0.2, tournament: 2 };
    for (let repeat = 0; repeat < 60; repeat++) {
      const table = randomTable({ layers: 5, choices: 4, withBounds: true, withTies: repeat % 2 === 0 }, random);
      const exact = solveExact(table);
      for (const { total, predicted } of exact.points()) {
        const found = solveEvolutionary(table, total, repeat, settings);
        expect(found.predicted).toBeGreaterThanOrEqual(predicted);
        expect(found.predicted).toBe(totalLoss(table, found.activeExperts));
        expect(sum(found.activeExperts)).toBe(total);
        table.layers.forEach(({ minimum, maximum }, position) => {
          expect(found.activeExperts[position]).toBeGreaterThanOrEqual(minimum);
          expect(found.activeExperts[position]).toBeLessThanOrEqual(maximum);
        });
        expect(solveEvolutionary(table, total, repeat, settings)).toEqual(found);
      }
    }
  });

  it('finds the optimum of small problems and comes close on layers as models have them', () => {
    const small = tableOf(realisticRows(4, 4, new SeededRandom(1)));
    expect(solveEvolutionary(small, 9, 0).activeExperts).toEqual(solveExact(small).at(9).activeExperts);
    const rows = realisticRows(16, 8, new SeededRandom(2));
    const table = tableOf(rows);
    const best = solveExact(table).at(100).predicted;
    const uniform = totalLoss(
      table,
      uniformAllocation({ minimum: rows.map(() => 1), maximum: rows.map(() => 8) }, 100),
    );
    const found = solveEvolutionary(table, 100, 0).predicted;
    expect(found).toBeLessThan(best + 0.25 * (uniform - best));
  });

  it('gets better with more generations', () => {
    const table = tableOf(realisticRows(24, 8, new SeededRandom(4)));
    const after = (generations: number): number =>
      solveEvolutionary(table, 96, 0, { population: 50, generations, mutationRate: 0.1, tournament: 2 }).predicted;
    expect(after(500)).toBeLessThan(after(0));
    expect(after(20000)).toBeLessThan(after(500));
  });

  it('refuses totals that cannot be reached and tables with other costs', () => {
    const table = tableOf([
      [2, 1, 0],
      [2, 1, 0],
    ]);
    expect(() => solveEvolutionary(table, 7, 0)).toThrow(/between 2 and 6/);
    expect(() => solveEvolutionary(table, 2.5, 0)).toThrow(/between 2 and 6/);
    const costly = budgetTable([{ layer: 0, loss: [1, 0] }], undefined, [[2, 4]]);
    expect(() => solveEvolutionary(costly, 4, 0)).toThrow(/only knows budgets in active experts/);
  });
});

describe('controls', () => {
  it('uniform is as even as the total allows, with the rest spread over depth', () => {
    const bounds = { minimum: new Array<number>(12).fill(1), maximum: new Array<number>(12).fill(8) };
    expect(uniformAllocation(bounds, 60)).toEqual(new Array(12).fill(5));
    expect(uniformAllocation(bounds, 61)).toEqual([5, 5, 5, 5, 5, 5, 6, 5, 5, 5, 5, 5]);
    expect(uniformAllocation(bounds, 63)).toEqual([5, 5, 6, 5, 5, 5, 6, 5, 5, 5, 6, 5]);
    expect(uniformAllocation(bounds, 66)).toEqual([5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6]);
    for (let total = 12; total <= 96; total++) {
      const allocation = uniformAllocation(bounds, total);
      expect(sum(allocation)).toBe(total);
      expect(Math.max(...allocation) - Math.min(...allocation)).toBeLessThanOrEqual(1);
    }
    expect(() => uniformAllocation(bounds, 97)).toThrow(/between 12 and 96/);
  });

  it('uniform respects bounds that differ between layers', () => {
    const bounds = { minimum: [1, 4, 1, 1], maximum: [8, 8, 2, 8] };
    for (let total = 7; total <= 26; total++) {
      const allocation = uniformAllocation(bounds, total);
      expect(sum(allocation)).toBe(total);
      allocation.forEach((k, position) => {
        expect(k).toBeGreaterThanOrEqual(bounds.minimum[position] ?? 0);
        expect(k).toBeLessThanOrEqual(bounds.maximum[position] ?? 0);
      });
    }
    expect(uniformAllocation(bounds, 10)).toEqual([2, 4, 2, 2]);
  });

  it('random draws every feasible allocation equally often (chi squared)', () => {
    const bounds = { minimum: [1, 1, 2], maximum: [3, 4, 4] };
    const counts = new Map<string, number>();
    const random = new SeededRandom(8);
    const draws = 40000;
    for (let draw = 0; draw < draws; draw++) {
      const key = sampleAllocation(bounds, 7, random).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const feasible = ['1,2,4', '1,3,3', '1,4,2', '2,1,4', '2,2,3', '2,3,2', '3,1,3', '3,2,2'];
    expect([...counts.keys()].sort()).toEqual(feasible);
    const expected = draws / feasible.length;
    const chiSquared = sum([...counts.values()].map((count) => (count - expected) ** 2 / expected));
    expect(chiSquared).toBeLessThan(24.3); // 0.1 % point of 7 degrees of freedom
  });

  it('random stays exact for models with many layers and experts', () => {
    const bounds = { minimum: new Array<number>(160).fill(1), maximum: new Array<number>(160).fill(64) };
    const allocation = sampleAllocation(bounds, 3600, new SeededRandom(1));
    expect(sum(allocation)).toBe(3600);
    expect(Math.min(...allocation)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...allocation)).toBeLessThanOrEqual(64);
    expect(new Set(allocation).size).toBeGreaterThan(30);
    expect(() => sampleAllocation(bounds, 159, new SeededRandom(1))).toThrow(/between 160 and 10240/);
  });
});

describe('objectives', () => {
  it('are registered under their own names, each with a title and a source', () => {
    for (const name of objectiveNames) {
      expect(objectives[name].name).toBe(name);
      expect(objectives[name].title.length * objectives[name].source.length).toBeGreaterThan(0);
    }
  });

  it('read the columns of a profile', () => {
    const profile = profileOf([
      [0.4, 0.2, 0],
      [0.6, 0.3, 0],
    ]);
    expect(objectives.lexi.lossRows(profile)[1]).toEqual({ layer: 1, loss: [0.6, 0.3, 0] });
    expect(objectives.squared.lossRows(profile)[1]?.loss).toEqual([0.36, 0.09, 0]);
    expect(objectives['relative-squared'].lossRows(profile)[0]?.loss).toEqual([
      0.04000000000000001, 0.010000000000000002, 0,
    ]);
  });
});

describe('chooseBudgets', () => {
  const profile = profileOf(realisticRows(6, 4, new SeededRandom(5)));
  const layers = layersOfProfile(profile);
  const common = { layers, profile, minimumActive: 1, seed: 0 };

  it('gives the exact choice, its prediction, the one of uniform, and a front over all totals', () => {
    const chosen = chooseBudgets({ ...common, objective: 'lexi', solver: 'exact', total: 13 });
    expect(sum(chosen.activeExperts)).toBe(13);
    expect(chosen.front.map(({ total }) => total)).toEqual(Array.from({ length: 19 }, (_, extra) => 6 + extra));
    expect(chosen.front.find(({ total }) => total === 13)).toEqual({
      total: 13,
      average: 13 / 6,
      predicted: chosen.predicted,
      activeExperts: chosen.activeExperts,
    });
    expect(chosen.predicted).toBeLessThan(chosen.uniformPredicted ?? 0);
    const evenly = profile.layers.map(({ raw }, position) => raw[position === 3 ? 2 : 1] ?? NaN);
    expect(chosen.uniformPredicted).toBeCloseTo(sum(evenly), 12);
  });

  it('ranks the solvers: exact below greedy and evolutionary, all below uniform', () => {
    const predicted = solverNames.map(
      (solver) => chooseBudgets({ ...common, objective: 'lexi', solver, total: 13 }).predicted ?? NaN,
    );
    const [exact = NaN, evolutionary, greedy] = predicted;
    expect(exact).toBeLessThanOrEqual(evolutionary ?? NaN);
    expect(exact).toBeLessThanOrEqual(greedy ?? NaN);
  });

  it('has a front for the evolutionary search at whole averages and the total asked for', () => {
    const { front } = chooseBudgets({ ...common, objective: 'squared', solver: 'evolutionary', total: 13 });
    expect(front.map(({ total }) => total)).toEqual([6, 12, 13, 18, 24]);
  });

  it('keeps everything when only the front is asked for', () => {
    const chosen = chooseBudgets({ ...common, objective: 'relative-squared', solver: 'exact' });
    expect([chosen.total, chosen.predicted, chosen.activeExperts]).toEqual([24, 0, [4, 4, 4, 4, 4, 4]]);
  });

  it('computes the controls without a profile and predicts nothing', () => {
    for (const objective of ['uniform', 'random'] as const) {
      const chosen = chooseBudgets({ layers, objective, solver: 'exact', total: 13, minimumActive: 2, seed: 4 });
      expect([chosen.predicted, chosen.uniformPredicted]).toEqual([null, null]);
      expect(sum(chosen.activeExperts)).toBe(13);
      expect(Math.min(...chosen.activeExperts)).toBe(2);
      expect(chosen.front.map(({ activeExperts }) => sum(activeExperts))).toEqual(
        chosen.front.map(({ total }) => total),
      );
    }
  });

  it('differs between seeds only for the random control', () => {
    const at = (objective: 'lexi' | 'uniform' | 'random', seed: number): number[] =>
      chooseBudgets({ ...common, objective, solver: 'exact', total: 13, seed }).activeExperts;
    expect(at('lexi', 1)).toEqual(at('lexi', 2));
    expect(at('uniform', 1)).toEqual(at('uniform', 2));
    expect(at('random', 1)).toEqual(at('random', 1));
    expect(at('random', 1)).not.toEqual(at('random', 2));
  });

  it('says what is wrong with a request', () => {
    const code = (change: object): string | undefined => {
      try {
        chooseBudgets({ ...common, objective: 'lexi', solver: 'exact', total: 13, ...change });
      } catch (error) {
        return TunerError.is(error) ? error.code : 'other';
      }
      return undefined;
    };
    expect(code({ total: 25 })).toBe('infeasibleBudget');
    expect(code({ total: 25, objective: 'uniform' })).toBe('infeasibleBudget');
    expect(code({ minimumActive: 5 })).toBe('infeasibleBudget');
    expect(code({ minimumActive: 5, objective: 'random' })).toBe('infeasibleBudget');
    expect(code({ minimumActive: 3 })).toBe('infeasibleBudget');
    expect(code({ profile: undefined })).toBe('usage');
    expect(code({ layers: layers.slice(1) })).toBe('internal');
  });

  it('turns averages into totals without rounding up', () => {
    expect([totalForAverage(2.3, 10), totalForAverage(1.25, 8), totalForAverage(2.3, 12)]).toEqual([23, 10, 27]);
  });
});
