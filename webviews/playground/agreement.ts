import type { Written } from './uiState';

/** How a token stands to the token at the same place of the other text. */
export type TokenMark = 'alone' | 'same' | 'first-different' | 'different';

/** Marks of every position of the longer text; `alone` where only one model has written. */
export function marksOf(written: readonly Written[]): readonly TokenMark[] {
  const [left = [], right] = written.map(({ tokens }) => tokens.map(({ id }) => id));
  const running = written.some(({ ended }) => ended === undefined);
  const length = Math.max(left.length, right?.length ?? 0);
  // While both write, one is a token ahead: nothing is said of that one yet.
  const settled = running ? Math.min(left.length, right?.length ?? 0) : length;
  const compared = right === undefined ? 0 : settled;
  const marks: TokenMark[] = [];
  for (let at = 0; at < length; at += 1) {
    if (at >= compared) {
      marks.push('alone');
    } else if (left[at] === right?.[at]) {
      marks.push('same');
    } else {
      marks.push(marks.some((mark) => mark.endsWith('different')) ? 'different' : 'first-different');
    }
  }
  return marks;
}

/** Experts of one layer that both models used for the chosen token. */
export function sharedExperts(left: readonly number[], right: readonly number[]): ReadonlySet<number> {
  return new Set(left.filter((expert) => right.includes(expert)));
}
