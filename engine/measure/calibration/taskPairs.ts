import { pairSumNames } from '../../methods/statistics';

/** Bytes of one layer that sums over pairs of experts may take task by task: 13 tasks of 256 experts are 20 MB. */
export const mostTaskPairBytes = 2 ** 26;

/** Bytes that they take for a layer: three matrices of doubles for every task. */
export function taskPairBytes(tags: number, experts: number): number {
  return tags * pairSumNames.length * 8 * experts * experts;
}

/** Whether a layer keeps them. With a single tag they are those of all texts. */
export function keepsTaskPairs(tags: number, experts: number): boolean {
  return tags > 1 && taskPairBytes(tags, experts) <= mostTaskPairBytes;
}
