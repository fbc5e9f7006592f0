import type { LayerStatistics } from '../statistics';
import { solveExact } from '../budgets/exactSolver';
import { budgetTable } from '../budgets/lossTable';
import { shares } from './averageExperts';
import type { MergeMethod } from './method';

/** Most numbers of groups that are looked at per layer: grouping hundreds of experts takes its time. */
const mostCounts = 64;

/** What the exact solver chooses from in one layer. */
export interface MergeChoices {
  readonly statistics: LayerStatistics;
  /** Fewest and most groups. */
  readonly fewest: number;
  readonly most: number;
  /** Groups of the layer when it is left with `count` of them. */
  readonly groups: (count: number) => readonly (readonly number[])[];
}

/**
 * Predicted damage of groups to the layer: the part of its output that is lost when every member computes the weighted mean of its group,
 * Σ_e ḡ²_e ‖f_e - m‖² / ‖Y‖² with m = Σ_j w_j f_j, where ‖f_e - m‖² is the mean over the sampled tokens, from the Gram matrix of the
 * outputs of all experts alone, and ḡ²_e the sum of the squared gates. Singletons cost nothing.
 */
export function mergeDamage(
  { total, dense, outputSquares, experts }: LayerStatistics,
  groups: readonly (readonly number[])[],
  weights: ArrayLike<number>,
): number {
  const { gram, tokens } = dense!;
  const product = (left: number, right: number) => gram[left * experts + right]! / tokens;
  let damage = 0;
  for (const group of groups.filter(({ length }) => length > 1)) {
    const own = shares(
      group.map((expert) => weights[expert]!),
      group.length,
    );
    const withMean = group.map((expert) =>
      group.reduce((sum, other, at) => sum + own[at]! * product(expert, other), 0),
    );
    const mean = withMean.reduce((sum, value, at) => sum + own[at]! * value, 0);
    group.forEach((expert, at) => {
      const squares = total.gateSquares[expert]!;
      damage += squares * Math.max(0, product(expert, expert) - 2 * withMean[at]! + mean);
    });
  }
  return outputSquares > 0 ? damage / outputSquares : damage;
}

/**
 * Groups that every layer is left with such that the predicted damages sum to the least, for a total over all layers, by the exact
 * solver. Statistics need the outputs of all experts.
 * @param total most groups of all layers together; fewer come out only where so many experts are in a layer that not every number is looked at
 */
export function exactCounts(layers: readonly MergeChoices[], method: MergeMethod, total: number): number[] {
  const counts = layers.map(({ fewest, most }) => {
    const step = Math.max(1, Math.ceil((most - fewest) / mostCounts));
    const looked = Array.from({ length: Math.floor((most - fewest) / step) + 1 }, (_, at) => most - at * step);
    return [...new Set([...looked, fewest])].reverse();
  });
  const rows = layers.map(({ statistics, groups }, position) => {
    const weights = method.weights(statistics);
    const loss = counts[position]!.map((count) => mergeDamage(statistics, groups(count), weights));
    return { layer: statistics.index, loss };
  });
  const { activeExperts: choices } = solveExact(budgetTable(rows, undefined, counts)).atMost(total);
  return choices.map((choice, position) => counts[position]![choice - 1]!);
}
