import { describe, expect, it } from 'vitest';
import { allocL } from '../../engine/methods/budgets/allocL';
import { calibrated } from '../../engine/methods/budgets/calibrated';
import { chooseBudgets, layersOfProfile } from '../../engine/methods/budgets/chooseBudgets';
import {
  averageCosts,
  byteCosts,
  flopCosts,
  wholeCosts,
  type LayerCostFacts,
} from '../../engine/methods/budgets/costs';
import { endToEnd } from '../../engine/methods/budgets/endToEnd';
import { solveExact } from '../../engine/methods/budgets/exactSolver';
import { gamma } from '../../engine/methods/budgets/gamma';
import { layerBounds } from '../../engine/methods/budgets/layerBounds';
import { budgetTable } from '../../engine/methods/budgets/lossTable';
import { maple, mapleClosedForm, mapleLayer } from '../../engine/methods/budgets/maple';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { profileOf, realisticRows, sum } from '../support/budgetTables';

describe('layerBounds', () => {
  const layers = [
    { index: 1, activeExperts: 8 },
    { index: 2, activeExperts: 8 },
    { index: 5, activeExperts: 4 },
  ];

  it('lets the most specific guard win and never goes above training', () => {
    expect(layerBounds(layers, { minimumActive: 2 })).toEqual({ minimum: [2, 2, 2], maximum: [8, 8, 4] });
    const perLayer = new Map([
      [1, { minimum: 3 }],
      [5, { minimum: 1, maximum: 2 }],
    ]);
    expect(layerBounds(layers, { minimumActive: 2, maximumActive: 6, pinned: [5], perLayer })).toEqual({
      minimum: [3, 2, 4],
      maximum: [6, 6, 4],
    });
  });

  it('says which layer cannot be bounded so', () => {
    expect(() => layerBounds(layers, { minimumActive: 5 })).toThrow(/between 5 and 4: this layer allows 1 to 4/);
    expect(() => layerBounds(layers, { minimumActive: 1, pinned: [3] })).toThrow(/Layer 3 cannot be bounded/);
    expect(() => layerBounds(layers, { minimumActive: 1, perLayer: new Map([[2, { maximum: 9 }]]) })).toThrow(/1 to 8/);
  });

  it('reaches the solvers: a pinned layer keeps everything', () => {
    const profile = profileOf(realisticRows(6, 4, new SeededRandom(5)));
    const chosen = chooseBudgets({
      layers: layersOfProfile(profile),
      profile,
      objective: 'lexi',
      solver: 'exact',
      total: 14,
      minimumActive: 1,
      guards: { pinned: [5], maximumActive: 3 },
      seed: 0,
    });
    expect(chosen.activeExperts[5]).toBe(4);
    expect(Math.max(...chosen.activeExperts.slice(0, 5))).toBeLessThanOrEqual(3);
    expect(sum(chosen.activeExperts)).toBe(14);
    expect(chosen.front.map(({ activeExperts }) => activeExperts[5])).toEqual(chosen.front.map(() => 4));
  });
});

describe('costs', () => {
  const layer: LayerCostFacts = {
    hidden: 16,
    intermediate: 8,
    matrices: 3,
    experts: 4,
    activeExperts: 2,
    expertBytes: 1000,
  };

  it('counts two operations per weight of an active expert', () => {
    expect(flopCosts([layer, { ...layer, matrices: 2 }])).toEqual([
      [768, 1536],
      [512, 1024],
    ]);
  });

  it('touches k experts for one token and nearly all for many', () => {
    expect(byteCosts([layer], 1)).toEqual([[1000, 2000]]);
    expect(byteCosts([layer], 2)[0]).toEqual([4000 * (1 - 0.75 ** 2), 4000 * (1 - 0.5 ** 2)]);
    expect(byteCosts([layer], 1000)[0]?.[0]).toBeCloseTo(4000, 3);
    // Two favourites take every token, the others none.
    expect(byteCosts([layer], 8, [[1, 1, 0, 0]])[0]).toEqual([2000 * (1 - 0.5 ** 8), 2000]);
  });

  it('averages runs of the same shape only', () => {
    expect(averageCosts([[[1, 3]], [[2, 7]]])).toEqual([[1.5, 5]]);
    expect(() => averageCosts([])).toThrow(/cannot be averaged/);
    expect(() => averageCosts([[[1, 3]], [[2]]])).toThrow(/cannot be averaged/);
  });

  it('rounds to whole units fine enough for the budget, and keeps small whole numbers', () => {
    expect(
      wholeCosts([
        [1, 2],
        [1, 2],
      ]),
    ).toEqual({
      costs: [
        [1, 2],
        [1, 2],
      ],
      unit: 1,
    });
    const random = new SeededRandom(6);
    const microseconds = Array.from({ length: 48 }, () =>
      Array.from({ length: 8 }, (_, k) => 30 + 11.7 * k + 3 * random.uniform()),
    );
    const { costs, unit } = wholeCosts(microseconds);
    const rows = realisticRows(48, 8, random).map((loss, position) => ({ layer: position, loss }));
    const budget = 48 * 70;
    const { activeExperts, total } = solveExact(budgetTable(rows, undefined, costs)).atMost(Math.floor(budget / unit));
    const exact = sum(activeExperts.map((k, position) => microseconds[position]?.[k - 1] ?? NaN));
    expect(Math.abs(exact - total * unit)).toBeLessThan(0.0005 * budget);
    expect(exact).toBeLessThan(1.0005 * budget);
    expect(exact).toBeGreaterThan(0.99 * budget);
    expect(() => wholeCosts([[1, -2]])).toThrow(/not negative/);
    expect(() => wholeCosts([[NaN]])).toThrow(/finite/);
  });
});

describe('tables measured on the whole model', () => {
  const rows = [
    { layer: 3, values: [4, 3, 2.5] },
    { layer: 4, values: [9, 5, 4.5] },
  ];

  it('end-to-end and Alloc-L are differences to the layer at full strength', () => {
    expect(endToEnd.lossRows(rows)).toEqual([
      { layer: 3, loss: [1.5, 0.5, 0] },
      { layer: 4, loss: [4.5, 0.5, 0] },
    ]);
    expect(allocL.lossRows(rows)).toEqual(endToEnd.lossRows(rows));
    expect([endToEnd.laterLayers, allocL.laterLayers]).toEqual(['trained', 'one']);
    expect(() => endToEnd.lossRows([{ layer: 3, values: [1, NaN] }])).toThrow(/not finite/);
    expect(() => allocL.lossRows([{ layer: 3, values: [] }])).toThrow(/empty/);
  });

  it('baselines of the rows do not reach the allocation', () => {
    const shifted = rows.map(({ layer, values }, position) => ({
      layer,
      values: values.map((value) => value + 64 * position),
    }));
    const allocations = (of: typeof rows): unknown =>
      solveExact(budgetTable(allocL.lossRows(of)))
        .points()
        .map((p) => p.activeExperts);
    expect(allocations(shifted)).toEqual(allocations(rows));
  });
});

describe('MAPLE', () => {
  it('reads sensitivity and preferred k off validation accuracy', () => {
    expect(mapleLayer({ layer: 0, values: [0.5, 0.9, 0.9, 0.8] })).toEqual({ sensitivity: 0.4, preferred: 3 });
    expect(() => mapleLayer({ layer: 0, values: [] })).toThrow(/empty/);
  });

  it('the closed form satisfies the constraint and the optimality condition', () => {
    const random = new SeededRandom(9);
    const layers = Array.from({ length: 6 }, () => ({
      sensitivity: 0.05 + random.uniform(),
      preferred: 4 + random.integerBelow(5),
    }));
    const solution = mapleClosedForm(layers, 25);
    expect(sum(solution)).toBeCloseTo(25, 10);
    // At the minimum all partial derivatives s_l (k_l - k*_l) agree.
    const slopes = layers.map(
      ({ sensitivity, preferred }, position) => sensitivity * ((solution[position] ?? 0) - preferred),
    );
    slopes.forEach((slope) => expect(slope).toBeCloseTo(slopes[0] ?? 0, 10));
  });

  it('layers without sensitivity share the whole difference', () => {
    const layers = [
      { sensitivity: 0.3, preferred: 8 },
      { sensitivity: 0, preferred: 8 },
      { sensitivity: 0, preferred: 6 },
    ];
    expect(mapleClosedForm(layers, 16)).toEqual([8, 5, 3]);
  });

  it('the exact solver gives its best whole-numbered allocation', () => {
    const rows = [
      { layer: 0, values: [0.2, 0.5, 0.6, 0.6] },
      { layer: 1, values: [0.55, 0.57, 0.58, 0.6] },
    ];
    const [first, second] = solveExact(budgetTable(maple.lossRows(rows))).at(5).activeExperts;
    const real = mapleClosedForm(rows.map(mapleLayer), 5);
    expect(Math.abs((first ?? 0) - (real[0] ?? 0))).toBeLessThanOrEqual(0.5);
    expect(Math.abs((second ?? 0) - (real[1] ?? 0))).toBeLessThanOrEqual(0.5);
  });
});

describe('profiles with other inputs', () => {
  it('name the input they need and read relative squared damage', () => {
    const profile = profileOf([[0.4, 0.2, 0]]);
    expect([gamma.input, calibrated.input]).toEqual(['gamma', 'calibration']);
    expect(gamma.lossRows(profile)).toEqual([{ layer: 0, loss: profile.layers[0]?.relativeSquared }]);
    expect(calibrated.lossRows(profile)).toEqual(gamma.lossRows(profile));
  });

  it('a profile of another input is refused rather than taken for the right one', () => {
    const profile = { ...profileOf([[0.4, 0.2, 0]]), input: 'gamma' as const };
    const request = { layers: layersOfProfile(profile), profile, solver: 'exact', minimumActive: 1, seed: 0 } as const;
    expect(() => chooseBudgets({ ...request, objective: 'lexi', total: 2 })).toThrow(
      /needs probe input "gaussian".*"gamma"/,
    );
  });
});
