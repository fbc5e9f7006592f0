import { assertLimits, keepBest } from './keepBest';
import type { KeepLimits } from './method';
import { pairSum, withoutKept } from './pairMatrices';

/** Steps of the relaxation; it only has to find a good start for the swaps. */
const relaxationSteps = 300;

/**
 * Experts to keep such that pᵀ F p is small for the indicator p of those that go: HOPE's binary quadratic programme. F need not be
 * positive semi-definite. Two starts, the rounded relaxation over [0, 1] (projected gradient) and the ranking of the diagonal, are
 * improved by swaps of one expert against another until none helps, and the better one is taken.
 *
 * @param matrix F, symmetric `[experts, experts]`
 */
export function minimiseQuadratic(matrix: ArrayLike<number>, experts: number, limits: KeepLimits): number[] {
  assertLimits(experts, limits);
  const diagonal = Array.from({ length: experts }, (_, expert) => matrix[expert * experts + expert]!);
  const relaxed = relax(matrix, experts, limits).map((value) => -value);
  const found = [keepBest(relaxed, limits), keepBest(diagonal, limits)].map((start) =>
    improve(matrix, experts, limits, start),
  );
  const cost = (keep: readonly number[]) => pairSum(matrix, experts, withoutKept(experts, keep));
  return cost(found[0]!) <= cost(found[1]!) ? found[0]! : found[1]!;
}

/** Shares in [0, 1] by which experts go, summing to the number that goes in every group. */
function relax(matrix: ArrayLike<number>, experts: number, limits: KeepLimits): Float64Array {
  const size = experts / limits.groups;
  const going = (experts - limits.count) / limits.groups;
  const lipschitz = Math.max(
    ...Array.from({ length: experts }, (_, row) => {
      let sum = 0;
      for (let column = 0; column < experts; column += 1) {
        sum += Math.abs(matrix[row * experts + column]!);
      }
      return sum;
    }),
  );
  const shares = new Float64Array(experts).fill(going / size);
  if (!(lipschitz > 0)) {
    return shares;
  }
  for (let at = 0; at < relaxationSteps; at += 1) {
    const next = gradient(matrix, shares).map((slope, expert) => shares[expert]! - slope / lipschitz);
    for (let group = 0; group < limits.groups; group += 1) {
      project(next.subarray(group * size, (group + 1) * size), going, (member) =>
        limits.pinned.has(group * size + member),
      );
    }
    shares.set(next);
  }
  return shares;
}

/** F p. */
function gradient(matrix: ArrayLike<number>, vector: Float64Array): Float64Array {
  const size = vector.length;
  return Float64Array.from({ length: size }, (_, row) => {
    let sum = 0;
    for (let column = 0; column < size; column += 1) {
      sum += matrix[row * size + column]! * vector[column]!;
    }
    return sum;
  });
}

/** Nearest point with entries in [0, 1] (0 for pinned ones) and the given sum, by bisection on the shift. */
function project(values: Float64Array, sum: number, isPinned: (at: number) => boolean): void {
  const clipped = (shift: number) =>
    values.map((value, at) => (isPinned(at) ? 0 : Math.min(1, Math.max(0, value - shift))));
  const total = (shift: number) => clipped(shift).reduce((left, right) => left + right, 0);
  let [low, high] = [Math.min(...values) - 1, Math.max(...values)];
  for (let at = 0; at < 60; at += 1) {
    const middle = (low + high) / 2;
    if (total(middle) > sum) {
      low = middle;
    } else {
      high = middle;
    }
  }
  values.set(clipped(high));
}

/** Best swap after best swap. Each lowers the cost, so this ends. */
function improve(
  matrix: ArrayLike<number>,
  experts: number,
  { pinned, groups }: KeepLimits,
  start: readonly number[],
): number[] {
  const size = experts / groups;
  const goes = Float64Array.from({ length: experts }, (_, expert) => (start.includes(expert) ? 0 : 1));
  for (;;) {
    const slopes = gradient(matrix, goes);
    let best = { gain: 0, out: -1, back: -1 };
    for (let out = 0; out < experts; out += 1) {
      if (goes[out] === 1 || pinned.has(out)) {
        continue;
      }
      for (let back = 0; back < experts; back += 1) {
        if (goes[back] === 0 || Math.floor(back / size) !== Math.floor(out / size)) {
          continue;
        }
        // Change of pᵀFp when `back` stays and `out` goes instead.
        const change =
          2 * (slopes[out]! - slopes[back]!) +
          matrix[out * experts + out]! +
          matrix[back * experts + back]! -
          2 * matrix[out * experts + back]!;
        if (change < best.gain) {
          best = { gain: change, out, back };
        }
      }
    }
    const scale = pairSum(matrix, experts, withoutKept(experts, [])) || 1;
    if (best.out === -1 || -best.gain <= 1e-12 * Math.abs(scale)) {
      return Array.from(goes.keys()).filter((expert) => goes[expert] === 0);
    }
    goes[best.out] = 1;
    goes[best.back] = 0;
  }
}
