/** One allocation with what it costs and what it is predicted to do. */
export interface BudgetPoint {
  /** Total cost, in the cost units of the table (active experts unless the table says otherwise). */
  readonly total: number;
  /** Sum of the losses. */
  readonly predicted: number;
  /** Active experts per MoE layer in model order. */
  readonly activeExperts: readonly number[];
}

/** Solutions of one table for every budget. */
export interface BudgetFront {
  /** Smallest and largest total that has a solution. */
  readonly lowest: number;
  readonly highest: number;
  /**
   * The allocation of exactly this total.
   * @throws TunerError `infeasibleBudget` naming the feasible range and the nearest reachable totals.
   */
  at(total: number): BudgetPoint;
  /**
   * The best allocation of at most this total: the smallest loss, and among equal losses the smallest total.
   * @throws TunerError `infeasibleBudget` when even the smallest total is larger.
   */
  atMost(total: number): BudgetPoint;
  /** One point for every reachable total, in rising order. */
  points(): readonly BudgetPoint[];
  /** The points that no other point beats in both total and loss: totals rise, losses strictly fall. */
  pareto(): readonly BudgetPoint[];
}

/** Anything with a price and a damage. */
export interface Tradeoff {
  readonly total: number;
  readonly predicted: number;
}

/**
 * The subset of `points` that is not dominated: sorted by rising total, with strictly falling loss. Of several points with the
 * same total and loss the first is kept.
 */
export function paretoFront<T extends Tradeoff>(points: readonly T[]): T[] {
  const sorted = points
    .map((point, order) => ({ point, order }))
    .sort((a, b) => a.point.total - b.point.total || a.point.predicted - b.point.predicted || a.order - b.order);
  const front: T[] = [];
  let best = Infinity;
  for (const { point } of sorted) {
    if (point.predicted < best) {
      front.push(point);
      best = point.predicted;
    }
  }
  return front;
}
