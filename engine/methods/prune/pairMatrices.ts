import { TunerError } from '../../protocol/errors';
import type { PruneMethodName } from '../../protocol/pruning';
import type { PairSums } from '../statistics';
import type { MeasuredLayer } from './method';

/**
 * Statistics over pairs of experts, of the texts to rank by.
 * @throws TunerError `usage` when single tasks were chosen and the calibration left these matrices out for them
 */
export function pairStatistics(layer: MeasuredLayer, method: PruneMethodName): PairSums {
  if (layer.pairs === undefined) {
    throw new TunerError(
      'usage',
      `The method "${method}" compares pairs of experts, which this calibration did not keep task by task.`,
      {
        place: '--task',
        wayOut:
          'Give text of the task alone with --text, calibrate on fewer tasks or without --no-task-pairs, or choose a method such as reap, ean or tcess.',
      },
    );
  }
  return layer.pairs;
}

/** Sum of the entries of a matrix `[size, size]` over all pairs of the given indices: pᵀ M p for their indicator p. */
export function pairSum(matrix: ArrayLike<number>, size: number, indices: readonly number[]): number {
  let sum = 0;
  for (const row of indices) {
    for (const column of indices) {
      sum += matrix[row * size + column]!;
    }
  }
  return sum;
}

/** The experts of a layer that are not in `keep`. */
export function withoutKept(experts: number, keep: readonly number[]): number[] {
  const kept = new Set(keep);
  return Array.from({ length: experts }, (_, expert) => expert).filter((expert) => !kept.has(expert));
}
