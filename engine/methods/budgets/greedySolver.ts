import { paretoFront, type BudgetFront, type BudgetPoint } from './budgetFront';
import { costRange, infeasibleTotal, totalCost, totalLoss, validateTable, type BudgetTable } from './lossTable';

/**
 * Marginal greedy: start every layer at its minimum and keep giving one more expert to the layer whose loss falls most per unit
 * of cost. One pass yields a point for every step it takes. Optimal when every row is convex in cost, otherwise only close: with
 * rows (10, 9, 0) and (3, 1, 0) and a total of 4 it ends at loss 10 where 3 is possible, because the first expert of the first
 * layer promises little. Kept for comparison and as the classic baseline (Fox, "Discrete optimization via marginal analysis",
 * Management Science 13(3), 1966).
 *
 * Ties go to the earlier layer. With costs other than one unit per expert only the totals along its path are reachable.
 *
 * @throws TunerError `infeasibleBudget` when a layer has no choice.
 */
export function solveGreedy(table: BudgetTable): BudgetFront {
  validateTable(table);
  const activeExperts = table.layers.map(({ minimum }) => minimum);
  const path: BudgetPoint[] = [point(table, activeExperts)];
  for (;;) {
    const position = bestStep(table, activeExperts);
    if (position === undefined) {
      break;
    }
    activeExperts[position] = activeExperts[position]! + 1;
    path.push(point(table, activeExperts));
  }
  return new PathFront(path, costRange(table));
}

function point(table: BudgetTable, activeExperts: readonly number[]): BudgetPoint {
  return {
    total: totalCost(table, activeExperts),
    predicted: totalLoss(table, activeExperts),
    activeExperts: [...activeExperts],
  };
}

/** Position of the layer whose next expert buys most loss per cost unit; undefined when all are at their maximum. */
function bestStep(table: BudgetTable, activeExperts: readonly number[]): number | undefined {
  let best: number | undefined;
  let bestRate = -Infinity;
  table.layers.forEach(({ loss, cost, maximum }, position) => {
    const k = activeExperts[position]!;
    if (k >= maximum) {
      return;
    }
    const gain = loss[k - 1]! - loss[k]!;
    const price = cost[k]! - cost[k - 1]!;
    // A further expert that costs nothing (or saves) is taken first when it helps and last when it hurts.
    const rate = price > 0 ? gain / price : gain >= 0 ? Number.MAX_VALUE : -Number.MAX_VALUE;
    if (best === undefined || rate > bestRate) {
      best = position;
      bestRate = rate;
    }
  });
  return best;
}

/** A front made of listed points. */
export class PathFront implements BudgetFront {
  readonly lowest: number;
  readonly highest: number;
  private readonly sorted: readonly BudgetPoint[];

  constructor(path: readonly BudgetPoint[], range: { readonly lowest: number; readonly highest: number }) {
    this.sorted = [...path].sort((a, b) => a.total - b.total || a.predicted - b.predicted);
    this.lowest = this.sorted[0]?.total ?? range.lowest;
    this.highest = this.sorted[this.sorted.length - 1]?.total ?? range.highest;
  }

  at(total: number): BudgetPoint {
    const found = this.sorted.find((candidate) => candidate.total === total);
    if (found === undefined) {
      const below = this.sorted.filter((candidate) => candidate.total < total).slice(-1);
      const above = this.sorted.filter((candidate) => candidate.total > total).slice(0, 1);
      const nearest = [...below, ...above].map((candidate) => candidate.total);
      throw infeasibleTotal(total, this.lowest, this.highest, nearest);
    }
    return found;
  }

  atMost(total: number): BudgetPoint {
    const best = this.pareto()
      .filter((candidate) => candidate.total <= total)
      .slice(-1)[0];
    if (best === undefined) {
      throw infeasibleTotal(total, this.lowest, this.highest);
    }
    return best;
  }

  points(): readonly BudgetPoint[] {
    return this.sorted;
  }

  pareto(): readonly BudgetPoint[] {
    return paretoFront(this.sorted);
  }
}
