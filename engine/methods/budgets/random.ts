import { SeededRandom } from '../../numeric/seededRandom';
import { infeasibleTotal, type LayerBounds } from './lossTable';
import type { AllocationObjective } from './objective';

/**
 * A control: an allocation drawn uniformly from all allocations of the total that respect the bounds. A method that does not
 * beat several of these has found nothing.
 */
export const random: AllocationObjective = {
  kind: 'allocation',
  name: 'random',
  title: 'Random allocation',
  source: 'control',
  needs: 'none',
  allocate: (bounds, total, seed) => sampleAllocation(bounds, total, new SeededRandom(seed)),
};

/**
 * One allocation drawn with {@link allocationSampler}.
 * @throws TunerError `infeasibleBudget` when no allocation has this total.
 */
export function sampleAllocation(bounds: LayerBounds, total: number, generator: SeededRandom): number[] {
  return allocationSampler(bounds, total)(generator);
}

/**
 * A function that draws one of the feasible allocations, each with the same probability. By counting: N_l(b) = sum over allowed k
 * of N_{l-1}(b - k) is the number of ways to spend b in the first l layers; going back from the last layer, k is drawn with
 * probability N_{l-1}(b - k) / N_l(b). Each N_l is scaled by its largest entry, which leaves the probabilities alone and keeps
 * hundreds of layers inside the floating-point range.
 *
 * @throws TunerError `infeasibleBudget` when no allocation has this total.
 */
export function allocationSampler(bounds: LayerBounds, total: number): (generator: SeededRandom) => number[] {
  const layers = bounds.minimum.length;
  const lowest = bounds.minimum.reduce((sum, k) => sum + k, 0);
  const highest = bounds.maximum.reduce((sum, k) => sum + k, 0);
  if (!Number.isInteger(total) || total < lowest || total > highest) {
    throw infeasibleTotal(total, lowest, highest);
  }
  const spare = total - lowest;
  const counts: Float64Array[] = [new Float64Array(spare + 1)];
  counts[0]![0] = 1; // one way to spend nothing
  for (let position = 0; position < layers; position++) {
    counts.push(nextCounts(counts[position]!, choices(bounds, position)));
  }
  return (generator) => {
    const allocation = [...bounds.minimum];
    let rest = spare;
    for (let position = layers - 1; position >= 0; position--) {
      const extra = drawExtra(counts[position]!, rest, choices(bounds, position), generator);
      allocation[position]! += extra;
      rest -= extra;
    }
    return allocation;
  };
}

/** Number of k a layer may take. */
function choices(bounds: LayerBounds, position: number): number {
  return bounds.maximum[position]! - bounds.minimum[position]! + 1;
}

function nextCounts(before: Float64Array, width: number): Float64Array {
  const after = new Float64Array(before.length);
  let largest = 0;
  for (let spent = 0; spent < before.length; spent++) {
    let sum = 0;
    for (let extra = 0; extra < width && extra <= spent; extra++) {
      sum += before[spent - extra]!;
    }
    after[spent] = sum;
    largest = Math.max(largest, sum);
  }
  return after.map((value) => value / largest);
}

/** Draws the experts above the minimum of one layer in proportion to the ways the layers before it can spend the rest. */
function drawExtra(before: Float64Array, rest: number, width: number, generator: SeededRandom): number {
  const weights: number[] = [];
  for (let extra = 0; extra < width && extra <= rest; extra++) {
    weights.push(before[rest - extra]!);
  }
  let mark = generator.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
  let last = 0;
  for (const [extra, weight] of weights.entries()) {
    if (weight > 0) {
      last = extra;
      if (mark < weight) {
        return extra;
      }
      mark -= weight;
    }
  }
  // Rounding can leave the mark at the very end of the scale: that is the last possible choice.
  return last;
}
