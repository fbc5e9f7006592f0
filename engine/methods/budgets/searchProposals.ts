import { solveExact } from './exactSolver';
import { hasUnitCosts, totalCost, type BudgetTable } from './lossTable';
import type { PredictedChange } from './marginalModel';

/** How many steps per layer the solutions of the whole table may differ from the present allocation. */
const jumpRadii = [1, 2, Infinity];

/**
 * Allocations worth a thought around the present one: every move of one expert from one layer to another; with costs also every single
 * expert that still fits; and the exact solutions of the table within some distance of the present allocation. All of them keep
 * the bounds, and the total cost (exactly when k experts cost k, else from above).
 */
export function* proposals(
  table: BudgetTable,
  present: readonly number[],
  total: number,
): Generator<readonly number[]> {
  const isExact = hasUnitCosts(table);
  for (const radius of jumpRadii) {
    const front = solveExact(around(table, present, radius));
    yield (isExact ? front.at(total) : front.atMost(total)).activeExperts;
  }
  const cost = totalCost(table, present);
  const change = (layer: number, step: number): number | undefined => {
    const { minimum, maximum, cost: costs } = table.layers[layer]!;
    const k = present[layer]! + step;
    return k < minimum || k > maximum ? undefined : costs[k - 1]! - costs[k - 1 - step]!;
  };
  for (let to = 0; to < present.length; to++) {
    const price = change(to, 1);
    if (price === undefined) {
      continue;
    }
    if (!isExact && cost + price <= total) {
      yield withSteps(present, [[to, 1]]);
    }
    for (let from = 0; from < present.length; from++) {
      const refund = from === to ? undefined : change(from, -1);
      if (refund !== undefined && cost + price + refund <= total) {
        yield withSteps(present, [
          [from, -1],
          [to, 1],
        ]);
      }
    }
  }
}

/** Expected size of the improvement when the change of the loss is normal: E[max(0, -change)] = s phi(z) - mean Phi(z), z = -mean / s. */
export function expectedImprovement({ mean, deviation }: PredictedChange): number {
  if (!(deviation > 0)) {
    return Math.max(0, -mean);
  }
  const z = -mean / deviation;
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  return Math.max(0, deviation * density - mean * normalDistribution(z));
}

/** The table with bounds at most `radius` experts from the present allocation. */
function around(table: BudgetTable, present: readonly number[], radius: number): BudgetTable {
  return {
    layers: table.layers.map((layer, position) => ({
      ...layer,
      minimum: Math.max(layer.minimum, present[position]! - radius),
      maximum: Math.min(layer.maximum, present[position]! + radius),
    })),
  };
}

function withSteps(present: readonly number[], steps: readonly (readonly [layer: number, step: number])[]): number[] {
  const moved = [...present];
  for (const [layer, step] of steps) {
    moved[layer]! += step;
  }
  return moved;
}

/** Distribution function of N(0, 1), absolute error below 8e-8 (Abramowitz and Stegun, 26.2.17). */
function normalDistribution(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI)) * polynomial;
  return z >= 0 ? 1 - tail : tail;
}
