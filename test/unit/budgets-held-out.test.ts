import { describe, expect, test } from 'vitest';
import { chooseHeldOut, pairedDifference, type Finalist } from '../../engine/methods/budgets/heldOutChoice';
import { SeededRandom } from '../../engine/numeric/seededRandom';

const tokens = [10, 20, 30, 20];

function finalist(name: string, kl: readonly number[], lost: readonly number[] = kl.map(() => 0)): Finalist {
  const column = [...tokens];
  return {
    name,
    activeExperts: [name.length, kl[0]!],
    windows: { tokens: column, kl: [...kl], loss: [...kl], correct: column, lost: [...lost] },
  };
}

describe('paired differences', () => {
  test('are the ratio estimate and its standard error', () => {
    const { mean, standardError } = pairedDifference([2, 4, 6, 5], [1, 2, 3, 2], tokens);
    expect(mean).toBeCloseTo(9 / 80, 12);
    const residuals = [1, 2, 3, 3].map((difference, at) => difference - (9 / 80) * tokens[at]!);
    const variance = residuals.reduce((sum, value) => sum + value ** 2, 0) / 3;
    expect(standardError).toBeCloseTo(Math.sqrt(4 * variance) / 80, 12);
  });

  test('have the standard error that repeating shows', () => {
    const random = new SeededRandom(3);
    const lengths = Array.from({ length: 40 }, () => 5 + random.integerBelow(40));
    const runs = Array.from({ length: 400 }, () => {
      const noise = lengths.map((count) =>
        Array.from({ length: count }, () => random.uniform() ** 8).reduce((a, b) => a + b, 0),
      );
      return pairedDifference(
        noise,
        lengths.map(() => 0),
        lengths,
      );
    });
    const means = runs.map(({ mean }) => mean);
    const middle = means.reduce((sum, mean) => sum + mean, 0) / means.length;
    const spread = Math.sqrt(means.reduce((sum, mean) => sum + (mean - middle) ** 2, 0) / means.length);
    const estimated = runs.reduce((sum, { standardError }) => sum + standardError, 0) / runs.length;
    expect(estimated / spread).toBeGreaterThan(0.85);
    expect(estimated / spread).toBeLessThan(1.15);
  });

  test('say nothing about noise with one window', () => {
    expect(pairedDifference([1], [0], [5]).standardError).toBe(Infinity);
  });
});

describe('the choice on held-out windows', () => {
  test('takes a finalist that is better everywhere', () => {
    const { chosen, reason } = chooseHeldOut(
      [finalist('uniform', [2, 4, 6, 4]), finalist('search', [1, 2, 3, 2]), finalist('lexi', [3, 6, 9, 6])],
      'text',
    );
    expect([chosen.name, reason]).toEqual(['search', 'best']);
  });

  test('stays with uniform where one window makes all the difference', () => {
    const { chosen, reason } = chooseHeldOut(
      [finalist('search', [1, 2, 3, 2]), finalist('uniform', [1, 2, 3, 3])],
      'text',
    );
    expect([chosen.name, reason]).toEqual(['uniform', 'uniform']);
  });

  test('asks only KL on running text: others that lose fewer sure tokens do not count', () => {
    const finalists = [
      finalist('search', [1, 2, 3, 2], [2, 4, 6, 4]),
      finalist('end-to-end', [1, 2, 3, 3], [1, 2, 3, 2]),
      finalist('uniform', [9, 18, 27, 18], [0, 0, 0, 0]),
    ];
    expect(chooseHeldOut(finalists, 'text')).toMatchObject({ chosen: { name: 'search' }, reason: 'best' });
    expect(chooseHeldOut([...finalists].reverse(), 'text').chosen.name).toBe('search');
  });

  test('leaves uniform on items for a significantly smaller KL', () => {
    const equal = [1, 2, 3, 2];
    const better = finalist('search', [1, 2, 3, 2], equal);
    expect(chooseHeldOut([better, finalist('uniform', [2, 4, 6, 4], equal)], 'items').chosen.name).toBe('search');
    expect(chooseHeldOut([better, finalist('uniform', [1, 2, 3, 3], equal)], 'items').chosen.name).toBe('uniform');
  });

  test('counts lost predictions before KL where windows are items', () => {
    const finalists = [
      finalist('search', [1, 2, 3, 2], [2, 4, 6, 4]),
      finalist('lexi', [3, 6, 9, 6], [1, 2, 3, 2]),
      finalist('maple', [2, 4, 6, 4], [1, 2, 3, 3]),
    ];
    // Fewest are lost with lexi; maple cannot be told from it, and its KL is smaller everywhere.
    expect(chooseHeldOut(finalists, 'items')).toMatchObject({ chosen: { name: 'maple' }, reason: 'tie' });
    expect(chooseHeldOut(finalists, 'text')).toMatchObject({ chosen: { name: 'search' }, reason: 'best' });
  });
});
