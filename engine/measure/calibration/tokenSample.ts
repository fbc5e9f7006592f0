import { SeededRandom } from '../../numeric/seededRandom';

/**
 * Draws `count` of `tokens` tokens without replacement, each equally likely, by their number in the text; ascending. All of them where
 * there are no more. Same seed, same tokens, whatever the batches.
 */
export function sampleTokens(tokens: number, count: number, seed: number): Int32Array {
  if (count >= tokens) {
    return Int32Array.from({ length: tokens }, (_, token) => token);
  }
  const random = new SeededRandom(seed);
  // Floyd's algorithm (Bentley and Floyd, CACM 30, 1987): one draw per sampled token, no list of all of them.
  const drawn = new Set<number>();
  for (let last = tokens - count; last < tokens; last += 1) {
    const token = random.integerBelow(last + 1);
    drawn.add(drawn.has(token) ? last : token);
  }
  return Int32Array.from(drawn).sort();
}
