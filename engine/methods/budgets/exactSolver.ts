import { TunerError } from '../../protocol/errors';
import { paretoFront, type BudgetFront, type BudgetPoint } from './budgetFront';
import { costRange, infeasibleTotal, validateTable, type BudgetLayer, type BudgetTable } from './lossTable';

/** Largest number of back-tracking entries (two bytes each) a problem may need. */
const largestTrace = 128 * 1024 * 1024;

/**
 * Exact solution of the multiple-choice knapsack for all budgets at once, by dynamic programming:
 *
 *     f_0(0) = 0, f_0(b > 0) = infinity
 *     f_l(b) = min over k in minimum_l … maximum_l of f_{l-1}(b - cost_l[k]) + loss_l[k]
 *
 * f_L(b) is the smallest loss of exactly total b; storing the arg-min of every f_l(b) gives the allocation by back-tracking from
 * the last layer. No convexity or monotonicity is needed. The recurrence is the textbook one (Kellerer, Pferschy, Pisinger,
 * "Knapsack Problems", 2004, chapter 11); Alloc-MoE (arXiv 2604.08133) was first to use it for per-layer top-k.
 *
 * Ties go to the larger k in the later layer: among allocations of equal loss the last layer gets as many experts as it can, then
 * the one before it, and so on. Losses are compared as the floating-point sums they are, in layer order.
 *
 * Time O(B * sum of choices), memory O(L * B), where B is the cost range divided by the greatest common divisor of the cost
 * differences; so a common factor in the costs is free.
 *
 * @throws TunerError `infeasibleBudget` when a layer has no choice or when the cost units are too fine to solve in memory.
 */
export function solveExact(table: BudgetTable): BudgetFront {
  validateTable(table);
  const { lowest, highest } = costRange(table);
  const unit = costUnit(table.layers);
  const length = (highest - lowest) / unit + 1;
  if (length * table.layers.length > largestTrace) {
    throw new TunerError('infeasibleBudget', `The costs span ${length} different totals, too many to solve exactly.`, {
      wayOut: 'Express the costs in a coarser unit.',
    });
  }
  const { losses, traces } = fillTables(table.layers, length, unit);
  return new ExactFront(lowest, unit, losses, traces);
}

/** Choices of one layer as columns: k, steps above the cheapest choice, loss. Largest k first, so that it wins ties. */
interface LayerChoices {
  readonly active: Uint16Array;
  readonly steps: Int32Array;
  readonly loss: Float64Array;
}

function layerChoices(layer: BudgetLayer, unit: number): LayerChoices {
  const count = layer.maximum - layer.minimum + 1;
  const cheapest = Math.min(...layer.cost.slice(layer.minimum - 1, layer.maximum));
  const active = new Uint16Array(count);
  const steps = new Int32Array(count);
  const loss = new Float64Array(count);
  for (let choice = 0; choice < count; choice++) {
    const k = layer.maximum - choice;
    active[choice] = k;
    steps[choice] = ((layer.cost[k - 1] ?? 0) - cheapest) / unit;
    loss[choice] = layer.loss[k - 1] ?? 0;
  }
  return { active, steps, loss };
}

/** Greatest common divisor of all cost differences inside the layers; 1 when no choice makes a difference. */
function costUnit(layers: readonly BudgetLayer[]): number {
  let divisor = 0;
  for (const { cost, minimum, maximum } of layers) {
    const first = cost[minimum - 1] ?? 0;
    for (let k = minimum; k <= maximum; k++) {
      let a = divisor;
      let b = Math.abs((cost[k - 1] ?? 0) - first);
      while (b > 0) {
        [a, b] = [b, a % b];
      }
      divisor = a;
    }
  }
  return divisor === 0 ? 1 : divisor;
}

/** How every step was reached in one layer: the position of the choice in `choices`. */
interface LayerTrace {
  readonly choices: LayerChoices;
  readonly chosen: Uint16Array;
}

/** f_L over all steps, and the back-tracking information of every layer. */
function fillTables(
  layers: readonly BudgetLayer[],
  length: number,
  unit: number,
): { losses: Float64Array; traces: LayerTrace[] } {
  let before = new Float64Array(length).fill(Infinity);
  let after = new Float64Array(length).fill(Infinity);
  before[0] = 0;
  let reach = 1;
  const traces: LayerTrace[] = [];
  for (const layer of layers) {
    const choices = layerChoices(layer, unit);
    const newReach = reach + choices.steps.reduce((most, value) => Math.max(most, value), 0);
    const chosen = new Uint16Array(newReach);
    after.fill(Infinity, 0, newReach);
    for (let choice = 0; choice < choices.active.length; choice++) {
      const step = choices.steps[choice]!;
      const damage = choices.loss[choice]!;
      for (let from = 0; from < reach; from++) {
        const sum = before[from]! + damage;
        if (sum < after[from + step]!) {
          after[from + step] = sum;
          chosen[from + step] = choice;
        }
      }
    }
    traces.push({ choices, chosen });
    [before, after] = [after, before];
    reach = newReach;
  }
  return { losses: before, traces };
}

class ExactFront implements BudgetFront {
  readonly lowest: number;
  readonly highest: number;
  private allPoints: readonly BudgetPoint[] | undefined;

  constructor(
    private readonly offset: number,
    private readonly unit: number,
    private readonly losses: Float64Array,
    private readonly traces: readonly LayerTrace[],
  ) {
    this.lowest = offset;
    this.highest = offset + (losses.length - 1) * unit;
  }

  at(total: number): BudgetPoint {
    const step = (total - this.offset) / this.unit;
    if (!Number.isInteger(step) || !this.reachable(step)) {
      throw infeasibleTotal(total, this.lowest, this.highest, this.nearest(step));
    }
    return this.point(step);
  }

  atMost(total: number): BudgetPoint {
    if (Number.isNaN(total) || total < this.lowest) {
      throw infeasibleTotal(total, this.lowest, this.highest);
    }
    const last = Math.min(this.losses.length - 1, Math.floor((total - this.offset) / this.unit));
    let best = 0;
    for (let step = 1; step <= last; step++) {
      if (this.losses[step]! < this.losses[best]!) {
        best = step;
      }
    }
    return this.point(best);
  }

  points(): readonly BudgetPoint[] {
    if (this.allPoints === undefined) {
      const points: BudgetPoint[] = [];
      for (let step = 0; step < this.losses.length; step++) {
        if (this.reachable(step)) {
          points.push(this.point(step));
        }
      }
      this.allPoints = points;
    }
    return this.allPoints;
  }

  pareto(): readonly BudgetPoint[] {
    return paretoFront(this.points());
  }

  private reachable(step: number): boolean {
    return (this.losses[step] ?? Infinity) < Infinity;
  }

  private nearest(step: number): number[] {
    const totals: number[] = [];
    for (let below = Math.ceil(step) - 1; below >= 0; below--) {
      if (this.reachable(below)) {
        totals.push(this.offset + below * this.unit);
        break;
      }
    }
    for (let above = Math.floor(step) + 1; above < this.losses.length; above++) {
      if (this.reachable(above)) {
        totals.push(this.offset + above * this.unit);
        break;
      }
    }
    return totals;
  }

  /** Back-tracks from the last layer. */
  private point(step: number): BudgetPoint {
    const activeExperts = new Array<number>(this.traces.length).fill(0);
    let rest = step;
    for (let position = this.traces.length - 1; position >= 0; position--) {
      const { choices, chosen } = this.traces[position]!;
      const choice = chosen[rest]!;
      activeExperts[position] = choices.active[choice]!;
      rest -= choices.steps[choice]!;
    }
    return { total: this.offset + step * this.unit, predicted: this.losses[step]!, activeExperts };
  }
}
