import { describe, expect, it } from 'vitest';
import { solveExact } from '../../engine/methods/budgets/exactSolver';
import { budgetTable, totalCost, totalLoss, type BudgetTable } from '../../engine/methods/budgets/lossTable';
import { MarginalModel } from '../../engine/methods/budgets/marginalModel';
import {
  searchMeasured,
  type MeasuredSearchOptions,
  type SearchOutcome,
  type SearchStep,
} from '../../engine/methods/budgets/measuredSearch';
import { expectedImprovement, proposals } from '../../engine/methods/budgets/searchProposals';
import { worthStarting } from '../../engine/methods/budgets/worthStarting';
import { uniformAllocation } from '../../engine/methods/budgets/uniform';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { TunerError } from '../../engine/protocol/errors';
import { allAllocations, randomTable, realisticRows, sum } from '../support/budgetTables';
import { ToyMixture } from '../support/toyMixture';

async function run(options: MeasuredSearchOptions): Promise<{ steps: SearchStep[]; outcome: SearchOutcome }> {
  const steps: SearchStep[] = [];
  const search = searchMeasured(options);
  for (;;) {
    const { done, value } = await search.next();
    if (done === true) {
      return { steps, outcome: value };
    }
    steps.push(value);
  }
}

const tableOf = (rows: readonly (readonly number[])[]): BudgetTable =>
  budgetTable(rows.map((loss, layer) => ({ layer, loss })));

/** A loss with strong interactions of both signs between all pairs of layers. */
function interacting(rows: readonly (readonly number[])[], seed: number): (allocation: readonly number[]) => number {
  const random = new SeededRandom(seed);
  const coupling = rows.map(() => rows.map(() => 1.6 * random.uniform() - 0.6));
  return (allocation) => {
    const damage = allocation.map((k, layer) => rows[layer]?.[k - 1] ?? NaN);
    let total = sum(damage);
    damage.forEach((first, a) =>
      damage.slice(0, a).forEach((second, b) => (total += (coupling[a]?.[b] ?? NaN) * Math.sqrt(first * second))),
    );
    return total;
  };
}

describe('searchMeasured on a small network', () => {
  const shape = { layers: 8, experts: 12, activeExperts: 5, hidden: 10, tokens: 64 };
  const networks = [1, 2, 3].map((seed) => new ToyMixture(shape, seed));
  const tables = networks.map((network) => tableOf(network.endToEndTable()));

  it('ends below the exact solution of the table and below uniform, with few measurements', async () => {
    let improved = 0;
    let locallyOptimal = 0;
    for (const [position, network] of networks.entries()) {
      const table = tables[position] as BudgetTable;
      for (const total of [14, 20, 28]) {
        const start = solveExact(table).at(total).activeExperts;
        const bounds = { minimum: table.layers.map(() => 1), maximum: table.layers.map(() => 5) };
        const uniform = uniformAllocation(bounds, total);
        const { steps, outcome } = await run({
          table,
          total,
          starts: [start, uniform],
          evaluations: 60,
          measure: (allocation) => Promise.resolve(network.loss(allocation)),
        });
        const [first, second] = steps;
        expect(first?.measured).toBe(network.loss(start));
        expect(second?.measured).toBe(network.loss(uniform));
        const best = outcome.best.measured;
        expect(best).toBeLessThanOrEqual(Math.min(first?.measured ?? 0, second?.measured ?? 0));
        improved += best < (first?.measured ?? 0) && best < (second?.measured ?? 0) ? 1 : 0;
        const others = [...proposals(table, outcome.best.activeExperts, total)].map((other) => network.loss(other));
        locallyOptimal += best <= Math.min(...others) ? 1 : 0;
        expect(outcome.best.measured).toBe(network.loss(outcome.best.activeExperts));
        expect(sum(outcome.best.activeExperts)).toBe(total);
        expect(steps.length).toBe(outcome.evaluations);
        expect(new Set(steps.map(({ activeExperts }) => activeExperts.join())).size).toBe(steps.length);
        steps.forEach((step, number) => {
          expect(step.evaluation).toBe(number + 1);
          expect(step.best.measured).toBe(Math.min(...steps.slice(0, number + 1).map(({ measured }) => measured)));
          expect(step.accepted).toBe(step.best.measured === step.measured);
        });
      }
    }
    // Nine problems; on some the exact solution of the table is already the best.
    expect(improved).toBeGreaterThanOrEqual(7);
    expect(locallyOptimal).toBeGreaterThanOrEqual(8);
  });

  it('measures the same when it reuses the layers below the first change, with less work', async () => {
    const network = new ToyMixture(shape, 1);
    const table = tables[0] as BudgetTable;
    const measured = async (reuse: boolean): Promise<{ steps: SearchStep[]; layerRuns: number; effort: number }> => {
      const before = network.layerRuns;
      const { steps, outcome } = await run({
        table,
        total: 20,
        starts: [solveExact(table).at(20).activeExperts],
        evaluations: 40,
        measure: (allocation, { base, firstChanged }) => {
          expect(allocation.slice(0, firstChanged)).toEqual(base.slice(0, firstChanged));
          return Promise.resolve(reuse ? network.lossFrom(allocation, base, firstChanged) : network.loss(allocation));
        },
      });
      return { steps, layerRuns: network.layerRuns - before, effort: outcome.effort };
    };
    const whole = await measured(false);
    const reused = await measured(true);
    expect(reused.steps).toEqual(whole.steps);
    expect(whole.layerRuns).toBe(whole.steps.length * shape.layers);
    // Every accepted allocation is run once more to keep its states; even so the prefixes save work.
    expect(reused.layerRuns).toBeLessThan(0.95 * whole.layerRuns);
    expect(reused.effort).toBeLessThan(whole.steps.length);
  });
});

describe('searchMeasured', () => {
  const rows = realisticRows(6, 4, new SeededRandom(12));
  const table = tableOf(rows);
  const loss = interacting(rows, 99);
  const start = solveExact(table).at(13).activeExperts;
  const base: MeasuredSearchOptions = {
    table,
    total: 13,
    starts: [start],
    evaluations: 200,
    measure: (allocation) => Promise.resolve(loss(allocation)),
  };

  it('finds the best of all allocations on most small interacting problems, and a better one than the start on nearly all', async () => {
    let optimal = 0;
    let improved = 0;
    let improvable = 0;
    for (let seed = 0; seed < 20; seed++) {
      const problem = realisticRows(6, 4, new SeededRandom(seed));
      const truth = interacting(problem, seed + 100);
      const own = tableOf(problem);
      const from = solveExact(own).at(13).activeExperts;
      const best = Math.min(
        ...allAllocations(own)
          .filter((allocation) => sum(allocation) === 13)
          .map(truth),
      );
      const { outcome } = await run({
        ...base,
        table: own,
        starts: [from],
        measure: (allocation) => Promise.resolve(truth(allocation)),
        evaluations: 60,
      });
      optimal += outcome.best.measured === best ? 1 : 0;
      improvable += truth(from) > best ? 1 : 0;
      improved += outcome.best.measured < truth(from) ? 1 : 0;
    }
    expect(improvable).toBeGreaterThan(10);
    expect(improved).toBeGreaterThanOrEqual(0.9 * improvable);
    expect(optimal).toBeGreaterThanOrEqual(16);
  });

  it('repairs a table that is wrong about two layers', async () => {
    const wrong = rows.map((row, layer) => row.map((value) => value * (layer === 1 ? 4 : layer === 4 ? 0.25 : 1)));
    const misled = tableOf(wrong);
    const measure = (allocation: readonly number[]): Promise<number> => Promise.resolve(totalLoss(table, allocation));
    const from = solveExact(misled).at(13).activeExperts;
    const { outcome } = await run({ ...base, table: misled, starts: [from], measure, evaluations: 40 });
    expect(totalLoss(table, from)).toBeGreaterThan(totalLoss(table, start));
    expect(outcome.best.measured).toBe(totalLoss(table, start));
    expect(outcome.stopped).toBe('converged');
    const drop = (of: BudgetTable, layer: number): number =>
      (of.layers[layer]?.loss[0] ?? 0) - (of.layers[layer]?.loss[3] ?? 0);
    const error = (of: BudgetTable): number => Math.abs(Math.log(drop(of, 1) / drop(table, 1)));
    expect(error(outcome.adapted)).toBeLessThan(error(misled));
  });

  it('is deterministic', async () => {
    expect(await run(base)).toEqual(await run(base));
  });

  it('keeps to the number of evaluations and to the effort', async () => {
    for (const evaluations of [1, 2, 5, 11]) {
      const { steps, outcome } = await run({ ...base, evaluations });
      expect([steps.length, outcome.evaluations, outcome.stopped]).toEqual([evaluations, evaluations, 'exhausted']);
    }
    const { steps, outcome } = await run({ ...base, effort: 4 });
    expect(outcome.effort).toBeGreaterThanOrEqual(4);
    expect(steps.at(-2)?.effort).toBeLessThan(4);
    expect(outcome.stopped).toBe('exhausted');
  });

  it('stops at an abort with the best so far, between measurements and within one', async () => {
    const controller = new AbortController();
    let calls = 0;
    const between = await run({
      ...base,
      signal: controller.signal,
      measure: (allocation) => {
        calls += 1;
        if (calls === 4) {
          controller.abort();
        }
        return Promise.resolve(loss(allocation));
      },
    });
    expect([between.steps.length, between.outcome.stopped]).toEqual([4, 'aborted']);
    expect(between.outcome.best.measured).toBe(Math.min(...between.steps.map(({ measured }) => measured)));

    const second = new AbortController();
    calls = 0;
    const within = await run({
      ...base,
      signal: second.signal,
      measure: (allocation, { signal }) => {
        calls += 1;
        if (calls === 3) {
          second.abort();
          signal?.throwIfAborted();
        }
        return Promise.resolve(loss(allocation));
      },
    });
    expect([within.steps.length, within.outcome.evaluations, within.outcome.stopped]).toEqual([2, 2, 'aborted']);
  });

  it('is cancelled when nothing was measured, and passes failures of the measurement on', async () => {
    const aborted = AbortSignal.abort();
    await expect(run({ ...base, signal: aborted })).rejects.toSatisfy((error) => TunerError.is(error, 'cancelled'));
    const broken = new Error('no memory');
    await expect(run({ ...base, measure: () => Promise.reject(broken) })).rejects.toBe(broken);
  });

  it('survives measurements that are not numbers', async () => {
    let calls = 0;
    const { outcome } = await run({
      ...base,
      evaluations: 20,
      measure: (allocation) => Promise.resolve(++calls % 3 === 1 ? NaN : loss(allocation)),
    });
    expect(outcome.best.measured).toBeLessThan(loss(start) * 1.5);
    expect(outcome.best.measured).toBe(loss(outcome.best.activeExperts));
    expect(outcome.adapted.layers.every((layer) => layer.loss.every(Number.isFinite))).toBe(true);
  });

  it('keeps bounds, pinned layers and a budget in other units', async () => {
    const random = new SeededRandom(4);
    const costs = rows.map((row) => row.map((_, position) => (position + 1) * 10 + random.integerBelow(5)));
    const bounds = { minimum: [1, 1, 4, 1, 1, 2], maximum: [4, 4, 4, 4, 3, 4] };
    const costly = budgetTable(
      rows.map((values, layer) => ({ layer, loss: values })),
      bounds,
      costs,
    );
    const from = solveExact(costly).atMost(175).activeExperts;
    const { steps, outcome } = await run({ ...base, table: costly, total: 175, starts: [from] });
    expect(steps.length).toBeGreaterThan(3);
    for (const { activeExperts } of steps) {
      expect(totalCost(costly, activeExperts)).toBeLessThanOrEqual(175);
      activeExperts.forEach((k, layer) => {
        expect(k).toBeGreaterThanOrEqual(bounds.minimum[layer] ?? 0);
        expect(k).toBeLessThanOrEqual(bounds.maximum[layer] ?? 0);
      });
    }
    expect(outcome.best.measured).toBeLessThanOrEqual(loss(from));
  });

  it('refuses starts outside the bounds or off the total', async () => {
    for (const wrong of [[2, 2, 2, 2, 2, 2], [5, 2, 2, 2, 1, 1], [13]]) {
      await expect(run({ ...base, starts: [wrong] })).rejects.toThrow(/breaks the bounds or the total/);
    }
  });
});

describe('MarginalModel', () => {
  const rows = realisticRows(4, 5, new SeededRandom(21));
  const table = tableOf(rows);

  it('starts with the table and learns additive truth from measurements', () => {
    const random = new SeededRandom(22);
    const truth = tableOf(rows.map((row) => row.map((value) => value * (0.5 + random.uniform()))));
    const model = new MarginalModel(table, {
      tableSpread: 0.3,
      layerSpread: 0.3,
      entrySpread: 0.3,
      floorSpread: 0.1,
      interaction: 0.001,
    });
    const from = [3, 3, 3, 3];
    const to = [2, 4, 1, 5];
    expect(model.predict(from, to).mean).toBeCloseTo(totalLoss(table, to) - totalLoss(table, from), 12);
    const before = model.predict(from, to).deviation;
    model.observe(from, to, totalLoss(truth, to) - totalLoss(truth, from));
    expect(model.predict(from, to).mean).toBeCloseTo(totalLoss(truth, to) - totalLoss(truth, from), 3);
    expect(model.predict(from, to).deviation).toBeLessThan(0.05 * before);
    const draw = (): number[] => from.map(() => 1 + random.integerBelow(5));
    for (let count = 0; count < 200; count++) {
      const a = draw();
      const b = draw();
      model.observe(a, b, totalLoss(truth, b) - totalLoss(truth, a));
    }
    const adapted = model.adaptedTable();
    for (let count = 0; count < 50; count++) {
      const a = draw();
      const b = draw();
      const change = totalLoss(truth, b) - totalLoss(truth, a);
      expect(model.predict(a, b).mean).toBeCloseTo(change, 3);
      expect(totalLoss(adapted, b) - totalLoss(adapted, a)).toBeCloseTo(model.predict(a, b).mean, 9);
    }
  });

  it('spreads what one measurement of a layer says over that layer more than over others', () => {
    const model = new MarginalModel(table);
    const expected = model.predict([3, 3, 3, 3], [2, 3, 3, 3]).mean;
    model.observe([3, 3, 3, 3], [2, 3, 3, 3], 2 * expected);
    const grown = (layer: number, k: number): number => {
      const from = [5, 5, 5, 5];
      const to = [...from];
      from[layer] = k + 1;
      to[layer] = k;
      return model.predict(from, to).mean / (totalLoss(table, to) - totalLoss(table, from));
    };
    expect(grown(0, 2)).toBeGreaterThan(grown(0, 1));
    expect(grown(0, 1)).toBeGreaterThan(grown(2, 1));
    expect(grown(2, 1)).toBeGreaterThan(1);
  });
});

describe('proposals', () => {
  it('keep the total, hold all single moves, and improve on the table', () => {
    const random = new SeededRandom(33);
    for (let repeat = 0; repeat < 30; repeat++) {
      const table = randomTable({ layers: 5, choices: 4, withBounds: repeat % 2 === 0 }, random);
      const { lowest, highest } = solveExact(table);
      const total = lowest + random.integerBelow(highest - lowest + 1);
      const present = solveExact({
        layers: table.layers.map((layer) => ({ ...layer, loss: layer.loss.map(() => random.uniform()) })),
      }).at(total).activeExperts;
      const all = [...proposals(table, present, total)];
      const neighbours = allAllocations(table).filter(
        (allocation) =>
          sum(allocation) === total && sum(allocation.map((k, layer) => Math.abs(k - (present[layer] ?? 0)))) === 2,
      );
      expect(all.map(sum)).toEqual(all.map(() => total));
      for (const neighbour of neighbours) {
        expect(all).toContainEqual(neighbour);
      }
      expect(totalLoss(table, all[2] ?? [])).toBe(solveExact(table).at(total).predicted);
    }
  });

  it('expected improvement agrees with its integral', () => {
    for (const mean of [-2, -0.3, 0, 0.4, 3]) {
      let integral = 0;
      for (let step = -8; step < 8; step += 0.001) {
        integral += 0.001 * Math.max(0, -(mean + 0.7 * step)) * (Math.exp(-0.5 * step * step) / Math.sqrt(2 * Math.PI));
      }
      expect(expectedImprovement({ mean, deviation: 0.7 })).toBeCloseTo(integral, 5);
    }
    expect(expectedImprovement({ mean: -2, deviation: 0 })).toBe(2);
    expect(expectedImprovement({ mean: 2, deviation: 0 })).toBe(0);
  });
});

it('a search begins with what the table does not put far behind the best', () => {
  const predicted = new Map([
    ['2,2', 0.1],
    ['3,1', 0.15],
    ['1,3', 0.16],
  ]);
  const allocations = [
    [1, 3],
    [2, 2],
    [3, 1],
  ];
  const starts = worthStarting(allocations, (allocation) => predicted.get(allocation.join())!);
  expect(starts).toEqual([
    [2, 2],
    [3, 1],
  ]);
  expect(worthStarting(allocations, () => 0)).toEqual(allocations);
});
