import { describe, expect, it } from 'vitest';
import { nestedRounding, nestedValues } from '../../engine/methods/quantize/matryoshka';
import { outputLoss } from '../../engine/methods/quantize/outputLoss';
import { dequantize, type Matrix } from '../../engine/methods/quantize/quantizedMatrix';
import {
  consistentRouter,
  leadingExperts,
  leadingKl,
  routerDeviation,
  routerLogits,
} from '../../engine/methods/quantize/routerConsistency';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import { ternaryRounding, ternaryValues } from '../../engine/methods/quantize/ternary';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';

function normals(count: number, seed: number): Float32Array {
  const values = new Float32Array(count);
  fillStandardNormal(values, new SeededRandom(seed));
  return values;
}

const squares = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value * value, 0);
const error = (left: Float32Array, right: Float32Array) => squares(left.map((value, at) => value - right[at]!));

describe('ternary rounding', () => {
  it('gives back a ternary matrix with the scale of its ones, not with the mean of all weights', () => {
    const matrix = Float32Array.from([0.5, 0, -0.5, 0.5, 0, 0, -0.5, 0.5]);
    expect([...ternaryValues(ternaryRounding(matrix, 'least-squares'))]).toEqual([...matrix]);
    const byMean = ternaryRounding(matrix, 'absolute-mean');
    expect(byMean.scale).toBeCloseTo(0.3125, 7);
    expect([...byMean.codes]).toEqual([1, 0, -1, 1, 0, 0, -1, 1]);
  });

  it('loses about a fifth of normal weights, and no other scale for its codes loses less', () => {
    const values = normals(20_000, 1);
    const best = ternaryRounding(values, 'least-squares');
    const loss = error(ternaryValues(best), values) / squares(values);
    // The optimum over threshold and scale is 0.190; the threshold here is half the mean, not the best one.
    expect(loss).toBeGreaterThan(0.19);
    expect(loss).toBeLessThan(0.25);
    for (const factor of [0.9, 0.99, 1.01, 1.1]) {
      const other = ternaryValues({ ...best, scale: best.scale * factor });
      expect(error(other, values)).toBeGreaterThan(error(ternaryValues(best), values));
    }
    expect(error(ternaryValues(ternaryRounding(values, 'absolute-mean')), values)).toBeGreaterThan(
      error(ternaryValues(best), values),
    );
  });
});

describe('nested codes', () => {
  const matrix: Matrix = { values: normals(16 * 64, 2), rows: 16, columns: 64 };
  const nested = nestedRounding(matrix, 32, 3);

  it('start at the plain 2-bit codes, and every plane takes n·s² off the squared error', () => {
    const plain = dequantize(roundToNearest(matrix, { bits: 2, group: 32, symmetric: false }));
    expect([...nestedValues(nested, 0)]).toEqual([...plain]);
    for (const [at, plane] of nested.planes.entries()) {
      const before = error(nestedValues(nested, at), matrix.values);
      const after = error(nestedValues(nested, at + 1), matrix.values);
      const saved = 32 * squares(plane.scales);
      // Scales are rounded to float16: n·(s² - δ²) with |δ| ≤ 2⁻¹¹ s.
      expect(before - after).toBeGreaterThan(saved * (1 - 1e-5) - 1e-4);
      expect(before - after).toBeLessThan(saved * (1 + 2e-3));
      expect(after).toBeLessThan(before);
    }
  });

  it('give the lower levels when planes are cut off', () => {
    const shorter = nestedRounding(matrix, 32, 1);
    expect([...nestedValues(shorter, 1)]).toEqual([...nestedValues(nested, 1)]);
    expect(shorter.planes[0]).toEqual(nested.planes[0]);
  });
});

describe('router-consistent rounding', () => {
  const [experts, hidden, tokens] = [12, 64, 80];
  const weight: Matrix = {
    values: normals(experts * hidden, 3).map((value) => value / 8),
    rows: experts,
    columns: hidden,
  };
  const inputs = normals(tokens * hidden, 4);
  const sample = { inputs, logits: routerLogits(weight.values, inputs, experts), experts, activeExperts: 3 };

  it('is never further from the router than rounding to nearest', () => {
    for (const bits of [2, 3, 4] as const) {
      const nearest = routerDeviation(dequantize(roundToNearest(weight, { bits, group: 32, symmetric: true })), sample);
      const { deviation } = consistentRouter(weight, { bits, group: 32 }, sample);
      const total = (one: typeof nearest) => one.logitError + one.leadingDivergence;
      expect(total(deviation)).toBeLessThanOrEqual(total(nearest));
      if (bits === 2) {
        expect(total(deviation)).toBeLessThan(0.9 * total(nearest));
      }
    }
  });

  it('counts the leading experts only, and nothing for the same probabilities', () => {
    expect(leadingExperts(32, 8)).toBe(14);
    expect(leadingKl([3, 2, 1, 0], [3, 2, 1, 0], 2)).toBe(0);
    expect(leadingKl([3, 2, 1, 0], [5, 4, -9, 70], 2)).toBeCloseTo(0, 12);
    // Two experts with probabilities 3/4, 1/4 and then one half each.
    const expected = 0.75 * Math.log(0.75 / 0.5) + 0.25 * Math.log(0.25 / 0.5);
    expect(leadingKl([Math.log(3), 0, -5], [1, 1, 9], 2)).toBeCloseTo(expected, 12);
    expect(routerDeviation(weight.values, sample)).toEqual({ logitError: 0, leadingDivergence: 0 });
  });
});

describe('losses of experts', () => {
  it('are those of the outputs, by the definition', () => {
    const [hiddenSize, width, tokens] = [6, 4, 9];
    const expert = { hiddenSize, width, up: normals(24, 5), down: normals(24, 6) };
    const x = normals(tokens * hiddenSize, 7);
    const h = normals(tokens * width, 8);
    const moments = (values: Float32Array, size: number) => ({
      size,
      tokens,
      moments: Float64Array.from({ length: size * size }, (_, at) => {
        let sum = 0;
        for (let token = 0; token < tokens; token += 1) {
          sum += values[token * size + Math.floor(at / size)]! * values[token * size + (at % size)]!;
        }
        return sum;
      }),
    });
    const outputs = (values: Float32Array, inner: number, matrix: Float32Array) =>
      routerLogits(matrix, values, matrix.length / inner);
    const changed = { up: normals(24, 9), down: normals(24, 10) };
    const ratio = (projection: 'up' | 'down', values: Float32Array, inner: number) => {
      const full = outputs(values, inner, expert[projection]);
      return error(outputs(values, inner, changed[projection]), full) / squares(full);
    };
    const known = { input: moments(x, hiddenSize), intermediate: moments(h, width) };
    const loss = outputLoss(expert, known, (projection) => changed[projection as 'up' | 'down']);
    expect(loss).toBeCloseTo((ratio('up', x, hiddenSize) + ratio('down', h, width)) / 2, 5);
    const plain = outputLoss(expert, undefined, (projection) => changed[projection as 'up' | 'down']);
    const weights = (['up', 'down'] as const).map((name) => error(changed[name], expert[name]) / squares(expert[name]));
    expect(plain).toBeCloseTo((weights[0]! + weights[1]!) / 2, 5);
  });
});
