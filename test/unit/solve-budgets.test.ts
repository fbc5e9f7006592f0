import { describe, expect, it } from 'vitest';
import { solveBudgets } from '../../engine/jobs/solveBudgets';
import type { SolvedLayer } from '../../engine/protocol/solveBudgets';

const layers: SolvedLayer[] = [
  { layer: 1, loss: [9, 4, 1, 0], minimum: 1, maximum: 4 },
  { layer: 2, loss: [3, 2.5, 2.4, 0], minimum: 1, maximum: 4 },
  { layer: 5, loss: [7, 3, 2, 0], minimum: 1, maximum: 4 },
];

/** Smallest loss of every total, by trying every allocation. */
function byHand(problem: readonly SolvedLayer[]): Map<number, number> {
  const best = new Map<number, number>();
  const extend = (position: number, total: number, loss: number): void => {
    const layer = problem[position];
    if (layer === undefined) {
      best.set(total, Math.min(best.get(total) ?? Infinity, loss));
      return;
    }
    for (let active = layer.minimum; active <= layer.maximum; active += 1) {
      extend(position + 1, total + active, loss + layer.loss[active - 1]!);
    }
  };
  extend(0, 0, 0);
  return best;
}

describe('the front of a known table', () => {
  it('has the best allocation of every total, as trying all of them finds it', async () => {
    const { points } = await solveBudgets({ layers });
    expect(new Map(points.map(({ total, predicted }) => [total, predicted]))).toEqual(byHand(layers));
    for (const { total, average, activeExperts } of points) {
      expect(activeExperts.reduce((sum, active) => sum + active, 0)).toBe(total);
      expect(average).toBeCloseTo(total / 3, 12);
    }
  });

  it('keeps a locked layer at its number in every point', async () => {
    const locked = layers.map((layer) => (layer.layer === 2 ? { ...layer, minimum: 2, maximum: 2 } : layer));
    const { points } = await solveBudgets({ layers: locked });
    expect(new Set(points.map(({ activeExperts }) => activeExperts[1]))).toEqual(new Set([2]));
    expect(new Map(points.map(({ total, predicted }) => [total, predicted]))).toEqual(byHand(locked));
  });

  it('refuses a layer without a choice, naming it', async () => {
    const impossible = [{ ...layers[0]!, minimum: 3, maximum: 2 }];
    await expect(async () => solveBudgets({ layers: impossible })).rejects.toMatchObject({
      code: 'infeasibleBudget',
      details: { place: 'layer 1' },
    });
  });
});
