import { describe, expect, it } from 'vitest';
import { allocateBits, type BitUnit, type ExpertUnits } from '../../engine/methods/quantize/bitAllocation';
import { storedBits } from '../../engine/methods/quantize/bitSizes';
import { allocatedBits } from '../../engine/methods/quantize/quantizedMatrix';
import type { ExpertBits } from '../../engine/methods/quantize/quantizers';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { shortestBits } from '../../engine/transform/quantizeBits';

const group = 16;
const sizes = { gateUp: 64, down: 32 };

function unit(name: keyof ExpertUnits, sensitivity: number): BitUnit {
  return {
    loss: allocatedBits.map((bits) => sensitivity * 4 ** -bits),
    cost: allocatedBits.map((bits) => storedBits({ weights: sizes[name], bits, group, symmetric: true })),
  };
}

function layersOf(layers: number, experts: number, seed: number): ExpertUnits[][] {
  const random = new SeededRandom(seed);
  const sensitivity = () => 10 ** (3 * random.uniform());
  return Array.from({ length: layers }, () =>
    Array.from({ length: experts }, () => ({
      gateUp: unit('gateUp', sensitivity()),
      down: unit('down', sensitivity()),
    })),
  );
}

function costOf(layers: readonly (readonly ExpertUnits[])[], bits: readonly (readonly ExpertBits[])[]): number {
  let total = 0;
  layers.forEach((experts, layer) => {
    experts.forEach(({ gateUp, down }, expert) => {
      const chosen = bits[layer]![expert]!;
      total +=
        gateUp.cost[allocatedBits.indexOf(chosen.up as 2)]! + down.cost[allocatedBits.indexOf(chosen.down as 2)]!;
    });
  });
  return total;
}

function uniformCost(layers: readonly (readonly ExpertUnits[])[], bits: 2 | 3 | 4 | 8): number {
  return costOf(
    layers,
    layers.map((experts) => experts.map(() => ({ gate: bits, up: bits, down: bits }))),
  );
}

describe('allocation of bits', () => {
  it('is the best of all plans, by trying them', () => {
    for (let seed = 0; seed < 5; seed += 1) {
      const layers = layersOf(2, 2, seed);
      const units = layers.flatMap((experts) => experts.flatMap(({ gateUp, down }) => [gateUp, down]));
      const budget = uniformCost(layers, 3);
      let best = Infinity;
      for (let plan = 0; plan < 4 ** units.length; plan += 1) {
        let [cost, loss] = [0, 0];
        units.forEach((one, at) => {
          const choice = Math.floor(plan / 4 ** at) % 4;
          cost += one.cost[choice]!;
          loss += one.loss[choice]!;
        });
        if (cost <= budget && loss < best) {
          best = loss;
        }
      }
      const found = allocateBits(layers, budget, 'expert');
      expect(found.predicted).toBeCloseTo(best, 12);
      expect(costOf(layers, found.bits)).toBeLessThanOrEqual(budget);
    }
  });

  it('spends the budget, and loses less the finer it may choose', () => {
    const layers = layersOf(6, 8, 7);
    const budget = Math.round((uniformCost(layers, 2) + uniformCost(layers, 3)) / 2);
    const [layer, projection, expert] = (['layer', 'projection', 'expert'] as const).map((granularity) =>
      allocateBits(layers, budget, granularity),
    );
    for (const one of [layer!, projection!, expert!]) {
      expect(costOf(layers, one.bits)).toBeLessThanOrEqual(budget);
    }
    expect(costOf(layers, expert!.bits)).toBeGreaterThan(budget - 64);
    expect(expert!.predicted).toBeLessThan(projection!.predicted);
    expect(projection!.predicted).toBeLessThanOrEqual(layer!.predicted);
  });

  it('gives gate and up the same bits, and a layer one number where it must', () => {
    const layers = layersOf(5, 4, 8);
    const budget = uniformCost(layers, 3);
    expect(
      allocateBits(layers, budget, 'expert')
        .bits.flat()
        .every(({ gate, up }) => gate === up),
    ).toBe(true);
    for (const experts of allocateBits(layers, budget, 'layer').bits) {
      expect(new Set(experts.flatMap(({ gate, up, down }) => [gate, up, down])).size).toBe(1);
    }
  });

  it('gives everything the most bits where there is room, and refuses what cannot be', () => {
    const layers = layersOf(2, 3, 9);
    const rich = allocateBits(layers, uniformCost(layers, 8), 'expert');
    expect(rich.bits.flat().every(({ gate, up, down }) => gate === 8 && up === 8 && down === 8)).toBe(true);
    expect(() => allocateBits(layers, uniformCost(layers, 2) - 1, 'expert')).toThrow(/the least is 3\.000/);
  });

  it('does not depend on the order of the experts', () => {
    const layers = layersOf(1, 6, 10);
    const budget = uniformCost(layers, 3);
    const turned = [[...layers[0]!].reverse()];
    const [first, second] = [allocateBits(layers, budget, 'expert'), allocateBits(turned, budget, 'expert')];
    expect(second.predicted).toBeCloseTo(first.predicted, 12);
    expect([...second.bits[0]!].reverse()).toEqual(first.bits[0]);
  });

  it('solves many experts in two exact steps', () => {
    const layers = layersOf(24, 128, 11);
    const budget = uniformCost(layers, 3);
    const expert = allocateBits(layers, budget, 'expert');
    expect(costOf(layers, expert.bits)).toBeLessThanOrEqual(budget);
    expect(expert.predicted).toBeLessThan(allocateBits(layers, budget, 'projection').predicted);
  });
});

describe('bits in a plan', () => {
  it('are as short as they can be', () => {
    const same: ExpertBits = { gate: 4, up: 4, down: 4 };
    const down: ExpertBits = { gate: 4, up: 4, down: 8 };
    const other: ExpertBits = { gate: 2, up: 2, down: 8 };
    expect(
      shortestBits([
        [same, same],
        [down, down],
        [down, other],
      ]),
    ).toEqual([4, { gate: 4, up: 4, down: 8 }, { gate: [4, 2], up: [4, 2], down: 8 }]);
  });
});
