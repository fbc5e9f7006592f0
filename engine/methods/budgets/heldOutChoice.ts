import type { WindowScores } from '../../protocol/budget';

/** An allocation with its scores on windows that no search has seen; the same windows for all. */
export interface Finalist {
  readonly name: string;
  readonly activeExperts: readonly number[];
  readonly windows: WindowScores;
}

/** Why a finalist was taken, for the person. */
export type ChoiceReason = 'smallest' | 'fewer-lost' | 'uniform';

/** Mean difference of two allocations per scored token, and its standard error over windows. */
export interface PairedDifference {
  readonly mean: number;
  readonly standardError: number;
}

/**
 * Mean of `left - right` per token over windows, as a ratio estimate, and its standard error from the residuals of the windows
 * (Cochran, "Sampling Techniques", 1977, section 2.11): both ran on the same windows, so what makes a window hard cancels.
 */
export function pairedDifference(
  left: readonly number[],
  right: readonly number[],
  tokens: readonly number[],
): PairedDifference {
  const windows = tokens.length;
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const mean = left.reduce((sum, value, at) => sum + value - right[at]!, 0) / total;
  const squares = left.reduce((sum, value, at) => sum + (value - right[at]! - mean * tokens[at]!) ** 2, 0);
  // One window says nothing about noise.
  const standardError = windows < 2 ? Infinity : Math.sqrt((squares * windows) / (windows - 1)) / total;
  return { mean, standardError };
}

/**
 * The finalist to take. The smallest mean KL leads; where another one is within one standard error of it (the rule of Breiman et al.,
 * "Classification and Regression Trees", 1984, section 3.4), KL cannot tell them apart and two things decide: significantly fewer
 * lost tokens, then being uniform. So a plan differs from uniform only by more than the noise of what was measured.
 * @param finalists at least one
 */
export function chooseHeldOut(finalists: readonly Finalist[]): { chosen: Finalist; reason: ChoiceReason } {
  const mean = ({ windows }: Finalist) =>
    pairedDifference(
      windows.kl,
      windows.kl.map(() => 0),
      windows.tokens,
    ).mean;
  const leader = finalists.reduce((best, finalist) => (mean(finalist) < mean(best) ? finalist : best));
  const tied = finalists.filter((finalist) => {
    const { mean: behind, standardError } = pairedDifference(
      finalist.windows.kl,
      leader.windows.kl,
      leader.windows.tokens,
    );
    return behind <= standardError;
  });
  const lost = ({ windows }: Finalist) => windows.lost.reduce((sum, count) => sum + count, 0);
  const losesLess = (one: Finalist, other: Finalist): boolean => {
    const { mean: more, standardError } = pairedDifference(other.windows.lost, one.windows.lost, one.windows.tokens);
    return more > standardError;
  };
  const fewest = tied.reduce((best, finalist) => (lost(finalist) < lost(best) ? finalist : best), leader);
  const chosen = losesLess(fewest, leader) ? fewest : leader;
  const uniform = tied.find(({ name }) => name === 'uniform');
  if (uniform !== undefined && uniform !== chosen && !losesLess(chosen, uniform)) {
    return { chosen: uniform, reason: 'uniform' };
  }
  return { chosen, reason: chosen === leader ? 'smallest' : 'fewer-lost' };
}
