import type { WindowScores } from '../../protocol/budget';

/** An allocation with its scores on windows that no search has seen; the same windows for all. */
export interface Finalist {
  readonly name: string;
  readonly activeExperts: readonly number[];
  readonly windows: WindowScores;
}

/** What windows hold: running text, where every prediction counts, or items of a few dozen tokens that come out right or do not. */
export type WindowContent = 'text' | 'items';

/** Why a finalist was taken, for the person: it measured best, the second measure decided a tie, or uniform was as good. */
export type ChoiceReason = 'best' | 'tie' | 'uniform';

/** Mean difference of two allocations per scored token, and its standard error over windows. */
export interface PairedDifference {
  readonly mean: number;
  readonly standardError: number;
}

type Measure = 'kl' | 'lost';

/**
 * What decides, and what decides where that cannot. Perplexity follows KL, down to its smallest differences, so nothing else chooses on
 * running text. The mean KL of items hangs on the few contexts in which a prediction collapses, most of them in prompts; lost predictions
 * count each of them once.
 */
const measures: Readonly<Record<WindowContent, { readonly first: Measure; readonly second: Measure | undefined }>> = {
  text: { first: 'kl', second: undefined },
  items: { first: 'lost', second: 'kl' },
};

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
 * The finalist to take. The smallest mean of the first measure leads: KL for running text, lost predictions for items. Others within one
 * standard error of it (the rule of Breiman et al., "Classification and Regression Trees", 1984, section 3.4) are tied with it, and
 * among them a significant difference of the other measure decides, then being uniform. So a plan differs from uniform only by more than
 * the noise of what was measured.
 * @param finalists at least one
 */
export function chooseHeldOut(
  finalists: readonly Finalist[],
  content: WindowContent,
): { chosen: Finalist; reason: ChoiceReason } {
  const { first, second } = measures[content];
  const leader = smallest(finalists, first, second ?? first);
  const tied = finalists.filter((finalist) => !isMore(finalist, leader, first));
  const other = second === undefined ? leader : smallest(tied, second, first);
  const chosen = second !== undefined && isMore(leader, other, second) ? other : leader;
  const uniform = tied.find(({ name }) => name === 'uniform');
  const isNoise = uniform !== undefined && (second === undefined || !isMore(uniform, chosen, second));
  if (isNoise && uniform !== chosen) {
    return { chosen: uniform, reason: 'uniform' };
  }
  return { chosen, reason: chosen === leader ? 'best' : 'tie' };
}

/** The finalist with the smallest sum of a measure, and of the other one where sums are equal. */
function smallest(finalists: readonly Finalist[], measure: Measure, otherwise: Measure): Finalist {
  const sum = ({ windows }: Finalist, of: Measure) => windows[of].reduce((total, value) => total + value, 0);
  return [...finalists].sort(
    (left, right) => sum(left, measure) - sum(right, measure) || sum(left, otherwise) - sum(right, otherwise),
  )[0]!;
}

/** Whether one finalist measures more than another by more than a standard error. */
function isMore(one: Finalist, other: Finalist, measure: Measure): boolean {
  const { mean, standardError } = pairedDifference(one.windows[measure], other.windows[measure], one.windows.tokens);
  return mean > standardError;
}
