import { expect, test } from 'vitest';
import { choosePlan } from '../../engine/methods/prune/choosePlan';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import type { WindowScores } from '../../engine/protocol/budget';

/** Scores of 16 windows of 100 tokens, from means per token and a spread over windows that differs from plan to plan. */
function plan(name: string, means: { loss: number; kl: number; lost?: number }, noise = 0, seed = 1) {
  const random = new SeededRandom(seed);
  const column = (mean: number) => Array.from({ length: 16 }, () => 100 * (mean + noise * (random.uniform() - 0.5)));
  const windows: WindowScores = {
    tokens: Array.from({ length: 16 }, () => 100),
    loss: column(means.loss),
    kl: column(means.kl),
    lost: column(means.lost ?? 0),
    correct: column(0.5),
  };
  return { name, windows };
}

test('a plan with a clearly smaller cross-entropy is taken, whatever its divergence', () => {
  const plans = [plan('near', { loss: 2.6, kl: 0.01 }, 0.02, 1), plan('right', { loss: 2.4, kl: 0.3 }, 0.02, 2)];
  expect(choosePlan(plans, 'text').name).toBe('right');
  expect(choosePlan([...plans].reverse(), 'text').name).toBe('right');
});

test('where the cross-entropy cannot tell, the smaller divergence decides', () => {
  const plans = [plan('far', { loss: 2.4, kl: 0.3 }, 0.4, 1), plan('near', { loss: 2.401, kl: 0.01 }, 0.4, 2)];
  expect(choosePlan(plans, 'text').name).toBe('near');
});

test('the choice never measures worse than any plan by more than the noise of the pair', () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const random = new SeededRandom(seed);
    const plans = Array.from({ length: 12 }, (_, at) =>
      plan(String(at), { loss: 2 + 0.1 * random.uniform(), kl: 0.1 * random.uniform() }, 0.1, 100 * seed + at),
    );
    const chosen = choosePlan(plans, 'text');
    for (const other of plans) {
      const differences = chosen.windows.loss.map((value, at) => (value - other.windows.loss[at]!) / 100);
      const mean = differences.reduce((sum, value) => sum + value, 0) / 16;
      const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 15;
      expect(mean).toBeLessThanOrEqual(Math.sqrt(variance / 16) + 1e-12);
    }
  }
});

test('items are judged by the predictions they lose, equal plans by their order', () => {
  const plans = [
    plan('loses', { loss: 1, kl: 0.1, lost: 0.3 }),
    plan('keeps', { loss: 2, kl: 0.2, lost: 0.1 }),
    plan('same', { loss: 2, kl: 0.2, lost: 0.1 }),
  ];
  expect(choosePlan(plans, 'items').name).toBe('keeps');
  expect(choosePlan(plans, 'text').name).toBe('loses');
});
