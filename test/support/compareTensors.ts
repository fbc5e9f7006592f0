/** Largest absolute difference of two lists of equal length. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertSameLength(actual, expected);
  let largest = 0;
  for (let at = 0; at < expected.length; at += 1) {
    const difference = Math.abs(actual[at]! - expected[at]!);
    // Not Math.max: a value that is no number must not be overlooked.
    largest = difference <= largest ? largest : difference;
  }
  return largest;
}

/** `‖actual − expected‖ / ‖expected‖` (Frobenius). */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertSameLength(actual, expected);
  let difference = 0;
  let norm = 0;
  for (let at = 0; at < expected.length; at += 1) {
    difference += (actual[at]! - expected[at]!) ** 2;
    norm += expected[at]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

function assertSameLength(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  if (actual.length !== expected.length) {
    throw new RangeError(`${actual.length} values against ${expected.length}.`);
  }
}
