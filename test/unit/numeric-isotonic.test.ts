import { describe, expect, it } from 'vitest';
import { isotonic } from '../../engine/numeric/isotonic';
import { SeededRandom } from '../../engine/numeric/seededRandom';

const squares = (left: readonly number[], right: readonly number[]) =>
  left.reduce((sum, value, at) => sum + (value - right[at]!) ** 2, 0);

describe('isotonic', () => {
  it('leaves what ascends, and pools what does not', () => {
    expect(isotonic([1, 2, 2, 5])).toEqual([1, 2, 2, 5]);
    expect(isotonic([1, 4, 2, 3])).toEqual([1, 3, 3, 3]);
    expect(isotonic([3, 2, 1])).toEqual([2, 2, 2]);
    expect(isotonic([])).toEqual([]);
  });

  it('is nearer than any other ascending sequence', () => {
    const random = new SeededRandom(5);
    for (let trial = 0; trial < 50; trial += 1) {
      const values = Array.from({ length: 8 }, () => random.uniform());
      const fit = isotonic(values);
      expect(fit.every((value, at) => at === 0 || value >= fit[at - 1]!)).toBe(true);
      for (let other = 0; other < 50; other += 1) {
        const rival = fit.map((value) => value + (random.uniform() - 0.5) * 0.2).sort((left, right) => left - right);
        expect(squares(fit, values)).toBeLessThanOrEqual(squares(rival, values) + 1e-12);
      }
    }
  });
});
