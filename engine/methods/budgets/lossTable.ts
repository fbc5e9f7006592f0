import { TunerError } from '../../protocol/errors';

/** Choices of one MoE layer: entry k-1 of `loss` and `cost` belongs to k active experts. */
export interface BudgetLayer {
  /** Index of the decoder layer. */
  readonly layer: number;
  /** Predicted damage of running this layer with k active experts; any finite numbers, need not fall with k. */
  readonly loss: readonly number[];
  /** Cost of running this layer with k active experts, in whole units (experts, bytes, microseconds, …). */
  readonly cost: readonly number[];
  /** Smallest k allowed, at least 1. */
  readonly minimum: number;
  /** Largest k allowed, at most the length of the rows. */
  readonly maximum: number;
}

/**
 * A multiple-choice knapsack: pick one k per layer, minimise the sum of the losses under a budget on the sum of the costs.
 * Layers are in model order; that order also decides ties (see the solvers).
 */
export interface BudgetTable {
  readonly layers: readonly BudgetLayer[];
}

/** Number of active experts allowed in each layer, parallel to the layers of a table. */
export interface LayerBounds {
  readonly minimum: readonly number[];
  readonly maximum: readonly number[];
}

/** One row of predicted damage before bounds and costs are attached. */
export interface LossRow {
  /** Index of the decoder layer. */
  readonly layer: number;
  /** Damage by k-1. */
  readonly loss: readonly number[];
}

/** The cost column whose budget is the total number of active experts: k active experts cost k. */
export function unitCosts(length: number): number[] {
  return Array.from({ length }, (_, position) => position + 1);
}

/**
 * A validated table from loss rows.
 * @param bounds smallest and largest k per row; left out, every k of a row is allowed.
 * @param costs cost by k-1 per row; left out, k active experts cost k.
 * @throws TunerError `infeasibleBudget` or `internal`, see {@link validateTable}.
 */
export function budgetTable(
  rows: readonly LossRow[],
  bounds?: LayerBounds,
  costs?: readonly (readonly number[])[],
): BudgetTable {
  const table: BudgetTable = {
    layers: rows.map((row, position) => ({
      layer: row.layer,
      loss: row.loss,
      cost: costs === undefined ? unitCosts(row.loss.length) : (costs[position] ?? []),
      minimum: bounds?.minimum[position] ?? 1,
      maximum: bounds?.maximum[position] ?? row.loss.length,
    })),
  };
  validateTable(table);
  return table;
}

/**
 * Checks that a table is a well-formed problem.
 * @throws TunerError `infeasibleBudget` when a layer has no allowed k (the message names the range it has); `internal` when the
 * numbers themselves are wrong, because no person typed them.
 */
export function validateTable(table: BudgetTable): void {
  if (table.layers.length === 0) {
    throw new TunerError('infeasibleBudget', 'There is no MoE layer to give a budget to.');
  }
  for (const { layer, loss, cost, minimum, maximum } of table.layers) {
    const place = `layer ${layer}`;
    if (loss.length === 0 || loss.length !== cost.length) {
      throw new TunerError('internal', `The loss row has ${loss.length} entries and the cost row ${cost.length}.`, {
        place,
      });
    }
    const badLoss = loss.findIndex((value) => !Number.isFinite(value));
    if (badLoss >= 0) {
      throw new TunerError('internal', `The loss at k = ${badLoss + 1} is ${loss[badLoss]}, not a finite number.`, {
        place,
      });
    }
    const badCost = cost.findIndex((value) => !Number.isSafeInteger(value) || value < 0);
    if (badCost >= 0) {
      throw new TunerError(
        'internal',
        `The cost at k = ${badCost + 1} is ${cost[badCost]}, not a whole number of units.`,
        {
          place,
        },
      );
    }
    const wholeBounds = Number.isInteger(minimum) && Number.isInteger(maximum);
    if (!wholeBounds || minimum < 1 || maximum > loss.length || minimum > maximum) {
      throw new TunerError(
        'infeasibleBudget',
        `The active experts cannot be kept between ${minimum} and ${maximum}: this layer allows 1 to ${loss.length}.`,
        {
          place,
          wayOut: `Choose a minimum and a maximum between 1 and ${loss.length}, the minimum not above the maximum.`,
        },
      );
    }
  }
}

/** Sum of the losses of an allocation (k per layer), added in layer order. NaN when a k is not in the table. */
export function totalLoss(table: BudgetTable, activeExperts: readonly number[]): number {
  let sum = 0;
  for (let position = 0; position < table.layers.length; position++) {
    sum += table.layers[position]!.loss[(activeExperts[position] ?? 0) - 1] ?? NaN;
  }
  return sum;
}

/** Sum of the costs of an allocation (k per layer). NaN when a k is not in the table. */
export function totalCost(table: BudgetTable, activeExperts: readonly number[]): number {
  let sum = 0;
  for (let position = 0; position < table.layers.length; position++) {
    sum += table.layers[position]!.cost[(activeExperts[position] ?? 0) - 1] ?? NaN;
  }
  return sum;
}

/** Smallest and largest total cost that the bounds allow. */
export function costRange(table: BudgetTable): { readonly lowest: number; readonly highest: number } {
  let lowest = 0;
  let highest = 0;
  for (const { cost, minimum, maximum } of table.layers) {
    const allowed = cost.slice(minimum - 1, maximum);
    lowest += Math.min(...allowed);
    highest += Math.max(...allowed);
  }
  return { lowest, highest };
}

/** The error of a total outside the feasible range, or between two reachable totals. */
export function infeasibleTotal(
  total: number,
  lowest: number,
  highest: number,
  nearest?: readonly number[],
): TunerError {
  const inside = total >= lowest && total <= highest;
  const range = `Feasible totals lie between ${lowest} and ${highest}.`;
  if (inside && nearest !== undefined && nearest.length > 0) {
    return new TunerError('infeasibleBudget', `No allocation costs exactly ${total}. ${range}`, {
      wayOut: `The nearest reachable totals are ${nearest.join(' and ')}.`,
    });
  }
  return new TunerError('infeasibleBudget', `A total of ${total} cannot be reached. ${range}`, {
    wayOut: `Choose a whole total between ${lowest} and ${highest}, or change the bounds of the layers.`,
  });
}

/** True when k active experts cost k in every layer, so that totals count active experts. */
export function hasUnitCosts(table: BudgetTable): boolean {
  return table.layers.every(({ cost }) => cost.every((value, position) => value === position + 1));
}
