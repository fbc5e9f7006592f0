import { describe, expect, it } from 'vitest';
import { SeededRandom, streamSeed } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';

/** Standard normal distribution function by the series of erf (small x) and the continued fraction of erfc (large x). */
function normalDistribution(x: number): number {
  const z = Math.abs(x);
  if (z > 8) {
    return x > 0 ? 1 : 0;
  }
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; n < 200; n++) {
      term *= (z * z) / (2 * n + 1);
      sum += term;
    }
    const half = (Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI)) * sum;
    return x > 0 ? 0.5 + half : 0.5 - half;
  }
  let fraction = 0;
  for (let n = 200; n >= 1; n--) {
    fraction = n / (z + fraction);
  }
  const upper = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI) / (z + fraction);
  return x > 0 ? 1 - upper : upper;
}

const count = 4_000_000;
const sample = new Float32Array(count);
fillStandardNormal(sample, new SeededRandom(1));

describe('SeededRandom', () => {
  it('equals the published xoshiro128** recurrence for a known state', () => {
    const random = new SeededRandom(0);
    Object.assign(random, { state0: 1, state1: 2, state2: 3, state3: 4 });
    // First output by hand: rotl(2 * 5, 7) * 9 = 1280 * 9; the second follows from state1 = 2 ^ (3 ^ 1) = 0.
    expect([random.nextUint32(), random.nextUint32()]).toEqual([11520, 0]);
    expect(random.nextUint32()).toBe(5927040);
  });

  it('repeats for the same seed, differs between seeds, also beyond 32 bits and below 0', () => {
    const first = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return [random.nextUint32(), random.nextUint32(), random.nextUint32()];
    };
    expect(first(7)).toEqual(first(7));
    const seeds = [0, 1, 2, -1, 7, 7 + 2 ** 32, 7 + 2 ** 40];
    expect(new Set(seeds.map((seed) => first(seed).join())).size).toBe(seeds.length);
  });

  it('draws integers uniformly (chi squared) and shuffles to a permutation', () => {
    const random = new SeededRandom(3);
    const bins = new Array<number>(7).fill(0);
    for (let draw = 0; draw < 70000; draw++) {
      const value = random.integerBelow(7);
      bins[value] = (bins[value] ?? 0) + 1;
    }
    const chiSquared = bins.reduce((sum, observed) => sum + (observed - 10000) ** 2 / 10000, 0);
    expect(chiSquared).toBeLessThan(22.5); // 0.1 % point of 6 degrees of freedom
    const shuffled = random.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...shuffled].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(shuffled).not.toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('keeps uniform numbers in [0, 1) with mean one half', () => {
    const random = new SeededRandom(5);
    let sum = 0;
    let lowest = 1;
    let highest = 0;
    for (let draw = 0; draw < 100000; draw++) {
      const value = random.uniform();
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
      sum += value;
    }
    expect(lowest).toBeGreaterThanOrEqual(0);
    expect(highest).toBeLessThan(1);
    expect(Math.abs(sum / 100000 - 0.5)).toBeLessThan(0.004);
  });

  it('gives every stream of a seed its own seed', () => {
    const seeds = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      for (let stream = 0; stream < 200; stream++) {
        seeds.add(streamSeed(seed, stream));
      }
    }
    expect(seeds.size).toBe(10000);
  });
});

describe('fillStandardNormal', () => {
  it('has the moments of N(0, 1) within five standard errors', () => {
    const moments = [0, 0, 0, 0, 0, 0];
    for (const value of sample) {
      let power = 1;
      for (let order = 0; order < 6; order++) {
        power *= value;
        moments[order] = (moments[order] ?? 0) + power / count;
      }
    }
    const expected = [0, 1, 0, 3, 0, 15];
    const variance = [1, 2, 15, 96, 945, 10395 - 225];
    expected.forEach((value, order) => {
      expect(Math.abs((moments[order] ?? 0) - value)).toBeLessThan(5 * Math.sqrt((variance[order] ?? 0) / count));
    });
  });

  it('passes Kolmogorov-Smirnov against the normal distribution', () => {
    const sorted = sample.slice(0, 1_000_000).sort();
    let distance = 0;
    sorted.forEach((value, rank) => {
      const expected = normalDistribution(value);
      distance = Math.max(
        distance,
        Math.abs(expected - rank / sorted.length),
        Math.abs(expected - (rank + 1) / sorted.length),
      );
    });
    expect(distance * Math.sqrt(sorted.length)).toBeLessThan(1.95); // 0.1 % point
  });

  it('fills the tails beyond 3, 3.654 (where the ziggurat ends), 4 and 4.5 as often as it should, on both sides', () => {
    for (const bound of [1, 2, 3, 3.6541528853610088, 4, 4.5]) {
      const expected = count * (1 - normalDistribution(bound));
      let above = 0;
      let below = 0;
      for (const value of sample) {
        above += value > bound ? 1 : 0;
        below += value < -bound ? 1 : 0;
      }
      expect(Math.abs(above - expected)).toBeLessThan(5 * Math.sqrt(expected));
      expect(Math.abs(below - expected)).toBeLessThan(5 * Math.sqrt(expected));
    }
  });

  it('has no correlation between neighbours, nor between a value and the next magnitude', () => {
    let product = 0;
    let magnitude = 0;
    for (let index = 1; index < count; index++) {
      const before = sample[index - 1] ?? 0;
      const value = sample[index] ?? 0;
      product += before * value;
      magnitude += before * (value * value - 1);
    }
    expect(Math.abs(product / count)).toBeLessThan(5 / Math.sqrt(count));
    expect(Math.abs(magnitude / count)).toBeLessThan(5 * Math.sqrt(2 / count));
  });

  it('does not depend on how the array is cut into pieces', () => {
    const whole = new Float32Array(1000);
    fillStandardNormal(whole, new SeededRandom(11));
    const pieces = new Float32Array(1000);
    const random = new SeededRandom(11);
    for (const [from, to] of [
      [0, 1],
      [1, 333],
      [333, 1000],
    ] as const) {
      fillStandardNormal(pieces.subarray(from, to), random);
    }
    expect(pieces).toEqual(whole);
  });
});
