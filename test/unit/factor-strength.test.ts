import { describe, expect, test } from 'vitest';
import { bestStrength, strengthened } from '../../engine/methods/budgets/factorStrength';

describe('the strength of factors', () => {
  test('moves factors away from 1, and never turns an output around', () => {
    expect(strengthened(1.04, 0)).toBe(1);
    expect(strengthened(1.04, 1)).toBeCloseTo(1.04, 12);
    expect(strengthened(1.04, 3)).toBeCloseTo(1.12, 12);
    expect(strengthened(0.8, 2)).toBeCloseTo(0.6, 12);
    expect(strengthened(0.5, 8)).toBe(0.1);
  });

  test.each([0.4, 1, 2.73, 3.9, 5.5, 7.2])(
    'finds the bottom of a parabola at %d in five measurements at most',
    async (bottom) => {
      const tried: number[] = [];
      const points = await bestStrength((strength) => {
        tried.push(strength);
        return Promise.resolve(0.03 + 0.001 * (strength - bottom) ** 2);
      });
      expect(points[0]!.strength).toBeCloseTo(bottom, 2);
      expect(tried.length).toBeLessThanOrEqual(5);
      expect(points.map(({ loss }) => loss)).toEqual(
        points.map(({ loss }) => loss).sort((left, right) => left - right),
      );
    },
  );

  test('takes none where every factor harms, and stops at the largest', async () => {
    const harms = await bestStrength((strength) => Promise.resolve(1 + strength));
    expect(harms[0]!.strength).toBe(0);
    const grows = await bestStrength((strength) => Promise.resolve(-strength));
    expect(grows[0]!.strength).toBe(8);
  });

  test('a bottom that is none is no reason to take something worse than what was measured', async () => {
    const points = await bestStrength((strength) => Promise.resolve(strength === 2 ? 1 : 0.5));
    expect(points[0]!.loss).toBe(0.5);
  });
});
