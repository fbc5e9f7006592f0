import type { MergeMethodName, MergeOptions } from '../../protocol/merging';
import type { LayerStatistics } from '../statistics';

/** Experts that may become one with each other, and how many are to be left of them. */
export interface MergeTask {
  /** Ids of the checkpoint, ascending. */
  readonly experts: readonly number[];
  readonly count: number;
}

/** A published method: which experts become one, with which weights, and how they are made one. */
export interface MergeMethod {
  readonly name: MergeMethodName;
  readonly title: string;
  /** One line for a person who chooses. */
  readonly explanation: string;
  readonly source: string;
  /** Which measurement the method reads beyond the sums of the calibration pass. */
  readonly needs: 'sums' | 'dense-outputs';
  /** How members are merged unless the person says otherwise. */
  readonly defaults: MergeOptions;
  /**
   * Exactly `count` groups of the given experts, each with the expert first whose router row stays.
   * Deterministic: ties go to the lower id.
   */
  group(layer: LayerStatistics, task: MergeTask): number[][];
  /** Weight of every expert of the layer in its group, before normalisation. */
  weights(layer: LayerStatistics): ArrayLike<number>;
}

/** Experts by descending score; of equal ones the lower id first. */
export function byScore(experts: readonly number[], scores: ArrayLike<number>): number[] {
  return [...experts].sort((left, right) => scores[right]! - scores[left]! || left - right);
}
