import { describe, expect, it } from 'vitest';
import { gatedBy } from '../support/reference/activations';
import { chunked, slidingWindow } from '../support/reference/attention';
import {
  decodeBfloat16,
  decodeFloat16,
  decodeFloat4E2M1,
  decodeFloat8E4M3,
  decodeFloat8E5M2,
} from '../support/reference/decodeValues';
import { applyGatedNetwork, projectionStackedExperts, stackedExperts } from '../support/reference/experts';
import { rotate } from '../support/reference/rope';
import {
  biasedRouter,
  softmaxRouter,
  sparseMixerRouter,
  topKSigmoidRouter,
  topKSoftmaxRouter,
} from '../support/reference/router';

/** Numbers worked out by hand, for what captured logits would only show as a whole. */
describe('element decoders', () => {
  it('know the corners of every format', () => {
    expect([0x3f80, 0xc000, 0x0000].map(decodeBfloat16)).toEqual([1, -2, 0]);
    expect([0x3c00, 0xc100, 0x0001, 0x7c00].map(decodeFloat16)).toEqual([1, -2.5, 2 ** -24, Infinity]);
    expect([0x38, 0xb8, 0x7e, 0x01, 0x08].map(decodeFloat8E4M3)).toEqual([1, -1, 448, 2 ** -9, 2 ** -6]);
    expect(decodeFloat8E4M3(0x7f)).toBeNaN();
    expect([0x3c, 0x7b, 0x7c, 0x01].map(decodeFloat8E5M2)).toEqual([1, 57344, Infinity, 2 ** -16]);
    expect([0, 1, 7, 9, 15].map(decodeFloat4E2M1)).toEqual([0, 0.5, 6, -0.5, -6]);
  });
});

describe('visibility', () => {
  it('counts the query itself into the window', () => {
    const visible = slidingWindow(2);
    expect([3, 4, 5, 6].map((key) => visible(5, key))).toEqual([false, true, true, false]);
  });

  it('starts afresh with every chunk', () => {
    const visible = chunked(4);
    expect([3, 4, 5, 6].map((key) => visible(5, key))).toEqual([false, true, true, false]);
  });
});

describe('rotation', () => {
  const quarter = { frequencies: Float64Array.of(Math.PI / 2, 0), magnitude: 1 };

  it('pairs halves, or neighbours', () => {
    const halves = Float64Array.of(1, 2, 3, 4, 5);
    rotate(halves, 1, { ...quarter, pairs: 'half' });
    expect([...halves].map((value) => Math.round(value))).toEqual([-3, 2, 1, 4, 5]);
    const neighbours = Float64Array.of(1, 2, 3, 4, 5);
    rotate(neighbours, 1, { ...quarter, pairs: 'interleaved' });
    expect([...neighbours].map((value) => Math.round(value))).toEqual([-2, 1, 3, 4, 5]);
  });
});

describe('routers', () => {
  const logits = Float64Array.from([1, 2, 3, 4], Math.log);
  const rounded = (values: readonly number[]) => values.map((value) => Number(value.toFixed(9)));

  it('divide the chosen probabilities, or leave them', () => {
    expect(rounded(softmaxRouter({})(logits, 2).weights)).toEqual([0.4, 0.3]);
    expect(rounded(softmaxRouter({ normOrder: 1 })(logits, 2).weights)).toEqual(rounded([4 / 7, 3 / 7]));
    expect(rounded(softmaxRouter({ normOrder: 2 })(logits, 2).weights)).toEqual([0.8, 0.6]);
    expect(rounded(topKSoftmaxRouter(logits, 2).weights)).toEqual(rounded([4 / 7, 3 / 7]));
    expect(rounded(topKSigmoidRouter(logits, 1).weights)).toEqual([0.8]);
  });

  it('take the lower index among equals', () => {
    expect(softmaxRouter({})(Float64Array.of(1, 1, 1, 1), 2).experts).toEqual([0, 1]);
  });

  it('choose with the bias and weigh without it', () => {
    const router = biasedRouter({
      score: 'sigmoid',
      bias: Float64Array.of(1, 0, 0, 0),
      divide: { by: 'sumPlus', epsilon: 0 },
      scale: 2,
    });
    const { experts, weights } = router(logits, 2);
    expect(experts).toEqual([0, 3]);
    expect(rounded(weights)).toEqual(rounded([(2 * 0.5) / 1.3, (2 * 0.8) / 1.3]));
  });

  it('keep only the best groups: by their maximum, or by the sum of their two best', () => {
    const byMaximum = softmaxRouter({ groups: { count: 2, kept: 1 } });
    expect(byMaximum(Float64Array.of(5, 0, 4, 4), 2).experts).toEqual([0, 1]);
    const byTwoBest = biasedRouter({ score: 'sigmoid', bias: undefined, groups: { count: 2, kept: 1 } });
    expect(byTwoBest(Float64Array.of(5, -9, 4, 4), 2).experts).toEqual([2, 3]);
  });

  it('give the sparse mixer two weights of their own', () => {
    const { experts, weights } = sparseMixerRouter(0.01)(Float64Array.of(1, 0.99, 0.5, -1), 1);
    expect(experts).toEqual([0, 1]);
    expect(rounded(weights)).toEqual(rounded([1 / (1 + Math.exp(-0.01)), 1]));
  });
});

describe('expert layouts', () => {
  it('read stacked halves and separate stacks alike', () => {
    const values = (count: number, step: number) =>
      Float64Array.from({ length: count }, (_, index) => Math.sin(index * step));
    const gate = values(2 * 3 * 4, 0.3);
    const up = values(2 * 3 * 4, 0.7);
    const down = { shape: [2, 4, 3], data: values(2 * 4 * 3, 1.1) };
    const both = new Float64Array(2 * 6 * 4);
    for (const expert of [0, 1]) {
      both.set(gate.subarray(expert * 12, expert * 12 + 12), expert * 24);
      both.set(up.subarray(expert * 12, expert * 12 + 12), expert * 24 + 12);
    }
    const silu = gatedBy('silu');
    const stacked = stackedExperts({ shape: [2, 6, 4], data: both }, down, silu);
    const separate = projectionStackedExperts(
      { shape: [2, 3, 4], data: gate },
      { shape: [2, 3, 4], data: up },
      down,
      silu,
    );
    const vector = Float64Array.of(0.2, -1, 0.5, 2);
    stacked.forEach((network, expert) => {
      expect(applyGatedNetwork(network, vector)).toEqual(applyGatedNetwork(separate[expert]!, vector));
    });
  });
});
