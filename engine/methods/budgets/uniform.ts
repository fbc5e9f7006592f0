import { infeasibleTotal, type LayerBounds } from './lossTable';
import type { AllocationObjective } from './objective';

/** A control: the same number of active experts everywhere, as every runtime offers without any method. */
export const uniform: AllocationObjective = {
  kind: 'allocation',
  name: 'uniform',
  title: 'Uniform allocation',
  source: 'control',
  needs: 'none',
  allocate: (bounds, total) => uniformAllocation(bounds, total),
};

/**
 * The most even allocation of exactly `total`. Every layer gets the same base k (clipped to its own bounds), and the r experts
 * that are left over go one each to layers spread evenly over depth: among the n layers with room, the j-th of r goes to layer
 * floor((2j + 1) n / (2r)), the middle of the j-th of r equal stretches. Deterministic.
 *
 * @throws TunerError `infeasibleBudget` when no allocation has this total.
 */
export function uniformAllocation(bounds: LayerBounds, total: number): number[] {
  const clip = (base: number): number[] =>
    bounds.minimum.map((minimum, position) => Math.min(bounds.maximum[position]!, Math.max(minimum, base)));
  const sum = (allocation: readonly number[]): number => allocation.reduce((partial, k) => partial + k, 0);
  const lowest = sum(bounds.minimum);
  const highest = sum(bounds.maximum);
  if (!Number.isInteger(total) || total < lowest || total > highest) {
    throw infeasibleTotal(total, lowest, highest);
  }
  let base = Math.min(...bounds.minimum);
  while (sum(clip(base + 1)) <= total && base < Math.max(...bounds.maximum)) {
    base++;
  }
  const allocation = clip(base);
  const remainder = total - sum(allocation);
  const withRoom = clip(base + 1).flatMap((k, position) => (k > allocation[position]! ? [position] : []));
  for (let extra = 0; extra < remainder; extra++) {
    const position = withRoom[Math.floor(((2 * extra + 1) * withRoom.length) / (2 * remainder))]!;
    allocation[position] = allocation[position]! + 1;
  }
  return allocation;
}
