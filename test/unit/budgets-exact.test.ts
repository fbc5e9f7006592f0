import { describe, expect, it } from 'vitest';
import { paretoFront } from '../../engine/methods/budgets/budgetFront';
import { solveExact } from '../../engine/methods/budgets/exactSolver';
import { budgetTable, costRange, totalCost, totalLoss, type BudgetTable } from '../../engine/methods/budgets/lossTable';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { TunerError } from '../../engine/protocol/errors';
import { bruteForce, randomTable, realisticRows, type RandomTableShape } from '../support/budgetTables';

const rows = (losses: readonly (readonly number[])[]): BudgetTable =>
  budgetTable(losses.map((loss, layer) => ({ layer, loss })));

const shapes: [string, Omit<RandomTableShape, 'layers' | 'choices'>][] = [
  ['unit costs', {}],
  ['ties', { withTies: true }],
  ['random bounds', { withBounds: true }],
  ['arbitrary costs, not rising, also zero', { withCosts: true }],
  ['costs, bounds and ties', { withCosts: true, withBounds: true, withTies: true }],
];

describe('solveExact', () => {
  it.each(shapes)('equals brute force at every budget: %s', (_name, options) => {
    const random = new SeededRandom(17);
    for (let layers = 1; layers <= 5; layers++) {
      for (let choices = 1; choices <= 4; choices++) {
        for (let repeat = 0; repeat < 8; repeat++) {
          const table = randomTable({ layers, choices, ...options }, random);
          const expected = bruteForce(table);
          const front = solveExact(table);
          expect(front.points().map(({ total }) => total)).toEqual([...expected.keys()].sort((a, b) => a - b));
          for (const point of front.points()) {
            const best = expected.get(point.total);
            expect(point.predicted).toBe(best?.loss);
            expect(best?.allocations).toContainEqual(point.activeExperts);
            expect(totalCost(table, point.activeExperts)).toBe(point.total);
            expect(totalLoss(table, point.activeExperts)).toBe(point.predicted);
            expect(front.at(point.total)).toEqual(point);
          }
        }
      }
    }
  });

  it('breaks ties towards the larger k in the later layer, whatever the costs', () => {
    const random = new SeededRandom(23);
    for (let repeat = 0; repeat < 150; repeat++) {
      const table = randomTable({ layers: 4, choices: 3, withTies: true, withCosts: repeat % 2 === 1 }, random);
      const expected = bruteForce(table);
      for (const point of solveExact(table).points()) {
        const tied = (expected.get(point.total)?.allocations ?? []).map((allocation) => [...allocation].reverse());
        tied.sort((a, b) => {
          const at = a.findIndex((k, position) => k !== b[position]);
          return at < 0 ? 0 : (b[at] ?? 0) - (a[at] ?? 0);
        });
        expect([...point.activeExperts].reverse()).toEqual(tied[0]);
      }
    }
  });

  it('atMost is the best of all smaller totals, and never rises with the budget', () => {
    const random = new SeededRandom(5);
    for (let repeat = 0; repeat < 60; repeat++) {
      const table = randomTable({ layers: 4, choices: 4, withCosts: repeat % 2 === 1 }, random);
      const front = solveExact(table);
      const all = front.points();
      let before = Infinity;
      for (let total = front.lowest; total <= front.highest + 2; total++) {
        const point = front.atMost(total);
        const best = Math.min(...all.filter((other) => other.total <= total).map(({ predicted }) => predicted));
        expect(point.predicted).toBe(best);
        expect(point.total).toBe(all.find(({ predicted }) => predicted === best)?.total);
        expect(point.predicted).toBeLessThanOrEqual(before);
        before = point.predicted;
      }
    }
  });

  it('the smallest loss never rises with the total where more experts never hurt', () => {
    const random = new SeededRandom(53);
    for (let repeat = 0; repeat < 30; repeat++) {
      const losses = realisticRows(6, 5, random).map((row) => [...row].sort((a, b) => b - a));
      const points = solveExact(rows(losses)).points();
      points.slice(1).forEach(({ predicted }, at) => {
        expect(predicted).toBeLessThanOrEqual(points[at]!.predicted);
      });
    }
  });

  it('the Pareto subset holds exactly the points that no other point dominates', () => {
    const random = new SeededRandom(9);
    for (let repeat = 0; repeat < 60; repeat++) {
      const front = solveExact(
        randomTable({ layers: 4, choices: 4, withTies: repeat % 2 === 0, withCosts: true }, random),
      );
      const all = front.points();
      const expected = all.filter(
        (point) =>
          !all.some(
            (other) =>
              other.total <= point.total &&
              other.predicted <= point.predicted &&
              (other.total < point.total || other.predicted < point.predicted),
          ),
      );
      expect(front.pareto()).toEqual(expected);
      expect(paretoFront(new SeededRandom(repeat).shuffle([...all]))).toEqual(expected);
    }
  });

  it('gives everything at the largest total and the minimum at the smallest', () => {
    const table = rows(realisticRows(12, 8, new SeededRandom(2)));
    const front = solveExact(table);
    expect(front.at(96).activeExperts).toEqual(new Array(12).fill(8));
    expect(front.at(96).predicted).toBe(0);
    expect(front.at(12).activeExperts).toEqual(new Array(12).fill(1));
    const guarded = budgetTable(
      table.layers.map(({ layer, loss }) => ({ layer, loss })),
      { minimum: new Array<number>(12).fill(2), maximum: new Array<number>(12).fill(8) },
    );
    expect(solveExact(guarded).at(24).activeExperts).toEqual(new Array(12).fill(2));
  });

  it('does not care for a constant added to a row, nor for the scale of the table', () => {
    // Integer losses: sums are exact, so this holds for ties as well.
    const random = new SeededRandom(31);
    for (let repeat = 0; repeat < 40; repeat++) {
      const table = randomTable({ layers: 5, choices: 4, withTies: true }, random);
      const changed = (change: (loss: number, position: number) => number): BudgetTable => ({
        layers: table.layers.map((layer, position) => ({
          ...layer,
          loss: layer.loss.map((loss) => change(loss, position)),
        })),
      });
      const allocations = (of: BudgetTable): unknown =>
        solveExact(of)
          .points()
          .map(({ activeExperts }) => activeExperts);
      const expected = allocations(table);
      expect(allocations(changed((loss, position) => loss + 1000 * (position - 2)))).toEqual(expected);
      expect(allocations(changed((loss) => loss * 0.125))).toEqual(expected);
    }
    const real = realisticRows(12, 8, new SeededRandom(3));
    const points = solveExact(rows(real)).points();
    const scaled = solveExact(rows(real.map((row) => row.map((loss) => 7.3 * loss)))).points();
    expect(scaled.map(({ activeExperts }) => activeExperts)).toEqual(points.map(({ activeExperts }) => activeExperts));
  });

  it('permuted layers get the permuted answer', () => {
    const random = new SeededRandom(41);
    for (let repeat = 0; repeat < 20; repeat++) {
      const losses = realisticRows(7, 5, random);
      const order = random.shuffle([0, 1, 2, 3, 4, 5, 6]);
      const front = solveExact(rows(losses));
      const permuted = solveExact(rows(order.map((position) => losses[position] ?? [])));
      for (const { total, activeExperts } of front.points()) {
        expect(permuted.at(total).activeExperts).toEqual(order.map((position) => activeExperts[position]));
      }
    }
  });

  it('costs of two everywhere with twice the budget change nothing; neither do huge units', () => {
    const losses = realisticRows(6, 5, new SeededRandom(43));
    const front = solveExact(rows(losses));
    for (const unit of [2, 12_582_912]) {
      const costs = losses.map((row) => row.map((_, position) => unit * (position + 1)));
      const weighted = solveExact(
        budgetTable(
          losses.map((loss, layer) => ({ layer, loss })),
          undefined,
          costs,
        ),
      );
      for (const point of front.points()) {
        expect(weighted.at(unit * point.total)).toEqual({ ...point, total: unit * point.total });
      }
      expect(weighted.points().length).toBe(front.points().length);
    }
  });

  it('solves what marginal steps cannot see: (10, 9, 0) and (3, 1, 0) with a total of 4', () => {
    expect(
      solveExact(
        rows([
          [10, 9, 0],
          [3, 1, 0],
        ]),
      ).at(4),
    ).toEqual({ total: 4, predicted: 3, activeExperts: [3, 1] });
  });

  it('says what is feasible when a total is not', () => {
    const front = solveExact(
      rows([
        [2, 1, 0],
        [2, 1, 0],
      ]),
    );
    for (const total of [1, 7, 3.5, NaN]) {
      const error = caught(() => front.at(total));
      expect(error.code).toBe('infeasibleBudget');
      expect(error.message).toContain('between 2 and 6');
    }
    expect(caught(() => front.atMost(1)).message).toContain('between 2 and 6');
    const gaps = solveExact(
      budgetTable(
        [
          { layer: 0, loss: [1, 0] },
          { layer: 1, loss: [1, 0] },
        ],
        undefined,
        [
          [0, 10],
          [0, 15],
        ],
      ),
    );
    expect(gaps.points().map(({ total }) => total)).toEqual([0, 10, 15, 25]);
    expect(caught(() => gaps.at(12)).details.wayOut).toContain('10 and 15');
    expect(caught(() => gaps.at(20)).details.wayOut).toContain('15 and 25');
  });

  it('refuses layers without a choice, rows that do not match and numbers that are not finite', () => {
    const layer = { layer: 3, loss: [1, 0], cost: [1, 2], minimum: 1, maximum: 2 };
    const refused = (change: object): TunerError => caught(() => solveExact({ layers: [{ ...layer, ...change }] }));
    for (const change of [{ minimum: 0 }, { maximum: 3 }, { minimum: 2, maximum: 1 }, { minimum: 1.5 }]) {
      expect(refused(change).code).toBe('infeasibleBudget');
      expect(refused(change).message).toContain('1 to 2');
      expect(refused(change).details.place).toBe('layer 3');
    }
    for (const change of [
      { loss: [NaN, 0] },
      { loss: [1] },
      { cost: [1, 2.5] },
      { cost: [-1, 2] },
      { loss: [], cost: [] },
    ]) {
      expect(refused(change).code).toBe('internal');
    }
    expect(caught(() => solveExact({ layers: [] })).code).toBe('infeasibleBudget');
  });

  it('refuses cost units too fine to solve, before taking the memory', () => {
    const layers = Array.from({ length: 40 }, (_, layer) => ({ layer, loss: [1, 0] }));
    const costs = layers.map((_, position) => [0, 1_000_000 + position]);
    expect(caught(() => solveExact(budgetTable(layers, undefined, costs))).details.wayOut).toContain('coarser');
  });

  it('knows the range of costs', () => {
    expect(costRange(randomTable({ layers: 3, choices: 4 }, new SeededRandom(1)))).toEqual({ lowest: 3, highest: 12 });
  });
});

function caught(action: () => unknown): TunerError {
  try {
    action();
  } catch (error) {
    if (TunerError.is(error)) {
      return error;
    }
    throw error;
  }
  throw new Error('nothing was thrown');
}
