import { describe, expect, it } from 'vitest';
import { activationAware, divideRows, scaleColumns } from '../../engine/methods/quantize/awq';
import { bitParts, bitsArithmetic, storedBits } from '../../engine/methods/quantize/bitSizes';
import { compensatedRounding } from '../../engine/methods/quantize/gptq';
import { compensationFactor, errorOnInputs, type InputMoments } from '../../engine/methods/quantize/hessian';
import { halfQuadratic } from '../../engine/methods/quantize/hqq';
import { packBfloat16 } from '../../engine/methods/quantize/packBfloat16';
import { packCodes, unpackCodes } from '../../engine/methods/quantize/packCodes';
import {
  codeBits,
  dequantize,
  roundScale,
  type Matrix,
  type QuantizedMatrix,
} from '../../engine/methods/quantize/quantizedMatrix';
import { weightedRounding } from '../../engine/methods/quantize/quantizers';
import { nearestCode, roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import { SeededRandom } from '../../engine/numeric/seededRandom';

function gaussian(random: SeededRandom): number {
  // Sum of uniforms: near enough to a bell for weights.
  return Array.from({ length: 12 }, () => random.uniform()).reduce((sum, value) => sum + value, -6);
}

function randomMatrix(rows: number, columns: number, seed: number, scale = 0.05): Matrix {
  const random = new SeededRandom(seed);
  return { rows, columns, values: Float32Array.from({ length: rows * columns }, () => scale * gaussian(random)) };
}

/** Moments of correlated inputs: channels of different size that share directions. */
function randomMoments(size: number, tokens: number, seed: number): InputMoments {
  const random = new SeededRandom(seed);
  const mix = Float64Array.from({ length: size * size }, () => gaussian(random) / Math.sqrt(size));
  const moments = new Float64Array(size * size);
  for (let token = 0; token < tokens; token += 1) {
    const source = Float64Array.from({ length: size }, (_, at) => gaussian(random) * (at < size / 4 ? 3 : 0.5));
    const x = Float64Array.from({ length: size }, (_, row) =>
      source.reduce((sum, value, column) => sum + value * mix[row * size + column]!, 0),
    );
    for (let left = 0; left < size; left += 1) {
      for (let right = 0; right < size; right += 1) {
        moments[left * size + right]! += x[left]! * x[right]!;
      }
    }
  }
  return { size, moments, tokens };
}

function outputError(matrix: Matrix, rounded: QuantizedMatrix, moments: InputMoments): number {
  const change = dequantize(rounded).map((value, at) => value - matrix.values[at]!);
  return errorOnInputs(change, moments).reduce((sum, value) => sum + value, 0);
}

function squaredError(matrix: Matrix, rounded: QuantizedMatrix): number {
  return dequantize(rounded).reduce((sum, value, at) => sum + (value - matrix.values[at]!) ** 2, 0);
}

describe('round to nearest', () => {
  const matrix = randomMatrix(12, 64, 1);

  it.each(codeBits.flatMap((bits) => [true, false].map((symmetric) => [bits, symmetric] as const)))(
    'stays within half a step at %s bits, symmetric %s',
    (bits, symmetric) => {
      const rounded = roundToNearest(matrix, { bits, group: 16, symmetric });
      const plain = dequantize(rounded);
      for (const [at, weight] of matrix.values.entries()) {
        const scale = rounded.scales[Math.floor(at / 16)]!;
        // The scale itself is rounded to 11 bits, which can move the ends of the range by that much.
        const slack = 2 ** -11 * 2 ** bits;
        expect(Math.abs(plain[at]! - weight)).toBeLessThanOrEqual(scale * (0.5 + slack) + 1e-7);
      }
    },
  );

  it('has the levels of the published symmetric rule', () => {
    const values = Float32Array.of(0.7, -0.7, 0.1, -0.35, 0.04, 0, 0.2, -0.06);
    const rounded = roundToNearest({ values, rows: 1, columns: 8 }, { bits: 4, group: 8, symmetric: true });
    expect(rounded.scales[0]).toBe(roundScale(0.7 / 7));
    expect([...rounded.codes]).toEqual([15, 1, 9, 4, 8, 8, 10, 7]);
  });

  it.each([true, false])('gives the same codes for its own result, symmetric %s', (symmetric) => {
    for (const bits of codeBits) {
      const once = roundToNearest(matrix, { bits, group: 16, symmetric });
      const again = roundToNearest({ ...matrix, values: dequantize(once) }, { bits, group: 16, symmetric });
      // A group whose extremes were rounded away has a smaller range; all others are fixed points.
      const same = again.codes.filter((code, at) => code === once.codes[at]).length;
      expect(same / again.codes.length).toBeGreaterThan(symmetric ? 0.999 : 0.7);
    }
  });

  it('keeps zeros, and groups of zeros', () => {
    const values = new Float32Array(32);
    values[20] = 0.5;
    for (const symmetric of [true, false]) {
      const plain = dequantize(roundToNearest({ values, rows: 1, columns: 32 }, { bits: 4, group: 16, symmetric }));
      expect([...plain].filter((value) => value !== 0)).toHaveLength(1);
    }
  });

  it('rounds halves to even codes', () => {
    expect([0.5, 1.5, 2.5, 3.49, -1, 99].map((value) => nearestCode(value, 7))).toEqual([0, 2, 2, 3, 0, 7]);
  });
});

describe('the fast way for bfloat16', () => {
  it.each([4, 8] as const)('gives the codes and scales of the general one at %s bits', (bits) => {
    const random = new SeededRandom(12);
    const weights = randomMatrix(32, 256, 13).values;
    // Large, tiny and zero groups, and ties, besides ordinary ones.
    weights.fill(0, 0, 16);
    weights.set([1e6, -3e5, 7, 2], 16);
    weights.set([1e-8, -2e-9], 64);
    weights.fill(0, 66, 80);
    weights.set([7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, random.uniform()], 96);
    const stored = new Uint16Array(new Uint32Array(weights.buffer)).map(
      (_, at) => new Uint32Array(weights.buffer)[at]! >>> 16,
    );
    const values = Float32Array.from(stored, (pattern) => new Float32Array(Uint32Array.of(pattern << 16).buffer)[0]!);
    const general = roundToNearest({ values, rows: 32, columns: 256 }, { bits, group: 16, symmetric: true });
    const fast = packBfloat16(stored, 16, bits);
    expect([...fast.scales]).toEqual([...general.scales]);
    expect([...unpackCodes(fast.codes, bits)].filter((code, at) => code !== general.codes[at])).toEqual([]);
  });
});

describe('vector code for bfloat16', () => {
  it.each([
    [16, 4],
    [16, 8],
    [32, 4],
    [48, 8],
    [128, 4],
    [12, 4],
  ] as const)('gives the codes and scales of the general way in groups of %s at %s bits', (group, bits) => {
    // Once more than the kernel holds at a time, in groups that do not divide that number.
    const count = group * Math.ceil((group === 48 ? 2 ** 20 + 1000 : 20000) / group);
    const some = randomMatrix(1, 4093, group + bits).values;
    const values = Float32Array.from({ length: count }, (_, at) => some[at % some.length]!);
    values.set([7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5], 0);
    values.fill(0, 2 * group, 3 * group);
    values.set([1e-8, -2e-9], 4 * group);
    const patterns = new Uint32Array(values.buffer, values.byteOffset, count);
    const stored = Uint16Array.from(patterns, (pattern) => pattern >>> 16);
    patterns.forEach((pattern, at) => (patterns[at] = (pattern & 0xffff0000) >>> 0));
    const general = roundToNearest({ values, rows: 1, columns: count }, { bits, group, symmetric: true });
    const fast = packBfloat16(stored, group, bits);
    expect(Buffer.compare(fast.codes, packCodes(general.codes, bits))).toBe(0);
    expect(fast.scales.findIndex((scale, at) => scale !== general.scales[at])).toBe(-1);
  });
});

describe('scales', () => {
  it('are float16', () => {
    for (const value of [0.1, 1 / 3, 1e-3, 6.1e-5, 3e-6, 1e-9, 70000]) {
      const rounded = roundScale(value);
      expect(rounded).toBeGreaterThan(0);
      expect(rounded).toBeLessThanOrEqual(65504);
      expect(roundScale(rounded)).toBe(rounded);
      if (value > 6.2e-5 && value < 65504) {
        expect(Math.abs(rounded - value) / value).toBeLessThanOrEqual(2 ** -11);
      }
    }
  });
});

describe('packing', () => {
  it.each([2, 4, 8] as const)('comes back from bytes at %s bits', (bits) => {
    const random = new SeededRandom(4);
    const codes = Uint8Array.from({ length: 96 }, () => Math.floor(random.uniform() * 2 ** bits));
    const packed = packCodes(codes, bits);
    expect(packed).toHaveLength((96 * bits) / 8);
    expect([...unpackCodes(packed, bits)]).toEqual([...codes]);
  });

  it('puts the first code into the low bits', () => {
    expect([...packCodes(Uint8Array.of(1, 2, 3, 4), 4)]).toEqual([0x21, 0x43]);
    expect([...packCodes(Uint8Array.of(1, 2, 3, 0), 2)]).toEqual([0b00111001]);
  });
});

describe('GPTQ', () => {
  it('factors the inverse of the dampened moments', () => {
    const moments = randomMoments(12, 60, 2);
    const { upper } = compensationFactor(moments);
    const damped = Float64Array.from(moments.moments);
    const mean = Array.from({ length: 12 }, (_, at) => damped[at * 13]!).reduce((sum, value) => sum + value, 0) / 12;
    for (let at = 0; at < 12; at += 1) {
      damped[at * 13]! += 0.01 * mean;
    }
    // Uᵀ U H is the identity.
    for (let row = 0; row < 12; row += 1) {
      for (let column = 0; column < 12; column += 1) {
        let value = 0;
        for (let inner = 0; inner < 12; inner += 1) {
          let inverse = 0;
          for (let at = 0; at < 12; at += 1) {
            inverse += upper[at * 12 + row]! * upper[at * 12 + inner]!;
          }
          value += inverse * damped[inner * 12 + column]!;
        }
        expect(value).toBeCloseTo(row === column ? 1 : 0, 3);
      }
      for (let column = 0; column < row; column += 1) {
        expect(upper[row * 12 + column]).toBe(0);
      }
    }
  });

  it('is plain rounding where inputs are independent', () => {
    const matrix = randomMatrix(8, 32, 3);
    const moments = new Float64Array(32 * 32);
    for (let at = 0; at < 32; at += 1) {
      moments[at * 33] = 100;
    }
    const format = { bits: 3, group: 16, symmetric: true } as const;
    const rounded = compensatedRounding(matrix, format, compensationFactor({ size: 32, moments, tokens: 100 }));
    const plain = weightedRounding(matrix, format);
    expect([...rounded.codes]).toEqual([...plain.codes]);
    expect([...rounded.scales]).toEqual([...plain.scales]);
  });

  it.each([true, false])('loses less on its inputs than rounding to nearest, symmetric %s', (symmetric) => {
    let better = 0;
    let sum = 0;
    for (let trial = 0; trial < 12; trial += 1) {
      const matrix = randomMatrix(16, 64, 100 + trial);
      const moments = randomMoments(64, 300, 200 + trial);
      const format = { bits: trial % 2 === 0 ? 2 : 3, group: 32, symmetric } as const;
      const compensated = outputError(
        matrix,
        compensatedRounding(matrix, format, compensationFactor(moments)),
        moments,
      );
      const nearest = outputError(matrix, roundToNearest(matrix, format), moments);
      better += Number(compensated < nearest);
      sum += compensated / nearest;
    }
    expect(better).toBe(12);
    expect(sum / 12).toBeLessThan(0.6);
  });

  it('drops channels that no input uses', () => {
    const matrix = randomMatrix(4, 16, 5);
    const moments = new Float64Array(256);
    for (let at = 1; at < 16; at += 1) {
      moments[at * 17] = 1;
    }
    const factor = compensationFactor({ size: 16, moments, tokens: 9 });
    const rounded = dequantize(compensatedRounding(matrix, { bits: 8, group: 16, symmetric: true }, factor));
    expect([0, 16, 32, 48].every((at) => rounded[at] === 0)).toBe(true);
  });

  it('refuses moments that are not finite', () => {
    const moments = new Float64Array(16).fill(NaN);
    expect(() => compensationFactor({ size: 4, moments, tokens: 1 })).toThrow(/not finite/);
  });
});

describe('HQQ', () => {
  it.each([true, false])('never has a larger norm than rounding to nearest, symmetric %s', (symmetric) => {
    const matrix = randomMatrix(6, 128, 6, 0.3);
    const norm = (rounded: QuantizedMatrix) =>
      dequantize(rounded).reduce((sum, value, at) => sum + Math.abs(value - matrix.values[at]!) ** 0.7, 0);
    for (const bits of codeBits) {
      const format = { bits, group: 32, symmetric };
      expect(norm(halfQuadratic(matrix, format))).toBeLessThanOrEqual(norm(roundToNearest(matrix, format)) + 1e-6);
    }
  });
});

describe('search of scales', () => {
  it.each([2, 3, 4] as const)('has less squared error than rounding to nearest at %s bits', (bits) => {
    const matrix = randomMatrix(16, 128, 7);
    for (const symmetric of [true, false]) {
      const format = { bits, group: 32, symmetric };
      const searched = squaredError(matrix, weightedRounding(matrix, format));
      expect(searched).toBeLessThan(squaredError(matrix, roundToNearest(matrix, format)));
    }
  });
});

describe('AWQ', () => {
  const matrix = randomMatrix(8, 32, 8);
  const moments = randomMoments(32, 200, 9);
  const round = (scaled: Matrix) => roundToNearest(scaled, { bits: 3, group: 16, symmetric: false });

  it('is never worse on its inputs than no scaling', () => {
    const scaled = activationAware(matrix, moments, round);
    expect(scaled.error).toBeLessThanOrEqual(outputError(matrix, round(matrix), moments) * (1 + 1e-6));
  });

  it('changes nothing where nothing is rounded', () => {
    const { scales } = activationAware(matrix, moments, round);
    const before = randomMatrix(32, 5, 10);
    // (W diag(s)) (diag(s)⁻¹ V) = W V
    const [left, right] = [scaleColumns(matrix.values, scales), divideRows(before.values, scales)];
    for (let row = 0; row < 8; row += 1) {
      for (let column = 0; column < 5; column += 1) {
        let [plain, folded] = [0, 0];
        for (let at = 0; at < 32; at += 1) {
          plain += matrix.values[row * 32 + at]! * before.values[at * 5 + column]!;
          folded += left[row * 32 + at]! * right[at * 5 + column]!;
        }
        expect(folded).toBeCloseTo(plain, 5);
      }
    }
  });
});

describe('sizes', () => {
  it('count scales and zero points', () => {
    expect(storedBits({ weights: 1024, bits: 4, group: 128, symmetric: true }) / 1024).toBe(4.125);
    expect(storedBits({ weights: 1024, bits: 4, group: 32, symmetric: false }) / 1024).toBe(4.625);
    const weights = { weights: 1024, bits: 4, group: 32 };
    expect(bitsArithmetic(bitParts({ ...weights, symmetric: false }))).toBe(
      '4 (codes) + 0.5 (scales) + 0.125 (zero points) = 4.625 bits a weight',
    );
    const mixed = { codeBits: 1024 * 3, scaleBits: 1024 / 8, zeroPointBits: 0, weights: 1024 };
    expect(bitsArithmetic(mixed)).toBe('3 (codes) + 0.125 (scales) = 3.125 bits a weight');
  });
});
