import { describe, expect, test } from 'vitest';
import { quantizeBlocks } from '../../engine/export/gguf/blockQuantization';
import { quantizeSuperBlocks } from '../../engine/export/gguf/superBlocks';
import { dequantize } from '../../engine/methods/quantize/quantizedMatrix';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import { decodeGguf } from '../support/ggufReader';
import golden from '../golden/gguf/superBlocks.json';

const types = ['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'] as const;

type SuperType = (typeof types)[number];

/** Bits of codes, bytes of 256 weights, weights of a sub-block, and whether every sub-block has an offset. */
const facts: Readonly<
  Record<
    SuperType,
    { readonly bits: number; readonly bytes: number; readonly subBlock: number; readonly offsets: boolean }
  >
> = {
  Q2_K: { bits: 2, bytes: 84, subBlock: 16, offsets: true },
  Q3_K: { bits: 3, bytes: 110, subBlock: 16, offsets: false },
  Q4_K: { bits: 4, bytes: 144, subBlock: 32, offsets: true },
  Q5_K: { bits: 5, bytes: 176, subBlock: 32, offsets: true },
  Q6_K: { bits: 6, bytes: 210, subBlock: 16, offsets: false },
};

/** Little-endian float32 numbers. */
function floats(hexadecimal: string): Float32Array {
  const bytes = Buffer.from(hexadecimal, 'hex');
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));
}

const decode = (bytes: Uint8Array, type: string) =>
  decodeGguf({ type, shape: [bytes.length], data: Buffer.from(bytes) });

/** Weights like those of experts, the same every time. */
function weights(count: number, seed = 12345): Float32Array {
  let state = seed;
  const uniform = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => (uniform() + uniform() + uniform() - 1.5) * 0.05);
}

function squaredError(one: ArrayLike<number>, other: ArrayLike<number>): number {
  return Array.from(one).reduce((sum, value, at) => sum + (value - other[at]!) ** 2, 0);
}

describe('super-blocks of GGUF files', () => {
  test('the reader decodes any bytes as the Python package of llama.cpp does', () => {
    for (const { type, bytes, values } of golden.blocks) {
      const decoded = decode(Buffer.from(bytes, 'hex'), type);
      const known = floats(values);
      const largest = Math.max(...known.map(Math.abs));
      decoded.forEach((value, at) =>
        expect(Math.abs(value - known[at]!), `${type} ${at}`).toBeLessThan(1e-6 * largest),
      );
    }
    expect(new Set(golden.blocks.map(({ type }) => type)).size).toBe(types.length);
  });

  test.each(['Q5_0', 'Q5_1'] as const)('%s has the bytes of the Python package', (type) => {
    const name = type.toLowerCase() as Lowercase<typeof type>;
    for (const [at, block] of golden.legacy.entries()) {
      const bytes = quantizeBlocks(floats(block.values), type);
      expect(Buffer.from(bytes).toString('hex'), `block ${at}`).toBe(block[name]);
      expect(squaredError(decode(bytes, type), floats(block[`${name}Values`]))).toBeLessThan(1e-12);
    }
  });

  test.each(types)('%s keeps weights that lie on its levels, bit for bit', (type) => {
    const { bits, bytes, subBlock, offsets } = facts[type];
    // Codes of the whole range in every sub-block, scales and offsets of the whole range in every super-block: all follow from the weights.
    const [step, top] = [2 ** -7, 2 ** bits - 1];
    const most = { Q2_K: 15, Q3_K: -32, Q4_K: 63, Q5_K: 63, Q6_K: -128 }[type];
    const values = Float32Array.from({ length: 512 }, (_, at) => {
      const sub = Math.floor((at % 256) / subBlock);
      const scale = step * (sub === 0 ? most : 1 + ((5 * sub) % 14));
      const offset = step * (sub === 1 ? most : (3 * sub) % 15);
      const code = at % subBlock < 2 ? (at % subBlock) * top : ((at % subBlock) * 7 + sub) % (top + 1);
      return offsets ? scale * code - offset : scale * (code - 2 ** (bits - 1));
    });
    const blocks = quantizeSuperBlocks(values, type);
    expect(blocks.length).toBe(2 * bytes);
    expect([...decode(blocks, type)].map((value) => value + 0)).toEqual([...values].map((value) => value + 0));
  });

  test.each(types)('%s errs no more than half a step, and less than rounding to nearest with as many bits', (type) => {
    const { bits, subBlock, offsets } = facts[type];
    for (const seed of [1, 2, 3]) {
      const values = weights(16 * 256, seed);
      values.fill(0.3, 300, 301);
      const decoded = decode(quantizeSuperBlocks(values, type), type);
      for (let start = 0; start < values.length; start += 256) {
        let bound = 0;
        for (let sub = start; sub < start + 256; sub += subBlock) {
          const part = values.subarray(sub, sub + subBlock);
          const span = offsets
            ? Math.max(...part) - Math.min(0, ...part)
            : 2 * Math.max(...part.map(Math.abs)) * (1 + 2 ** (1 - bits));
          bound += subBlock * (span / (2 ** bits - 1) / 2) ** 2;
        }
        // Scales are rounded to a few bits of the largest of the super-block: a quarter more in the worst case of these weights.
        const error = squaredError(decoded.subarray(start, start + 256), values.subarray(start, start + 256));
        expect(error).toBeLessThan(1.25 * bound);
      }
      const plain = (symmetric: boolean) =>
        bits === 5 || bits === 6
          ? Infinity
          : dequantizedError(values, { bits: bits as 2 | 3 | 4, group: 32, symmetric });
      expect(squaredError(decoded, values)).toBeLessThan(Math.min(plain(true), plain(false)));
      if (bits === 5) {
        const errorOf = (other: 'Q5_0' | 'Q5_1') => squaredError(decode(quantizeBlocks(values, other), other), values);
        expect(squaredError(decoded, values)).toBeLessThan(Math.min(errorOf('Q5_0'), errorOf('Q5_1')));
      }
    }
  });

  test('errors are no larger than those of llama.cpp for the same weights', () => {
    // Relative squared errors of quantize_row_q2_K_ref to quantize_row_q6_K_ref of release v0.5.0.
    const known = { Q2_K: 0.08216, Q3_K: 0.02097, Q4_K: 0.004606, Q5_K: 0.001178, Q6_K: 0.0002799 };
    const values = weights(64 * 256);
    const size = squaredError(
      values,
      values.map(() => 0),
    );
    for (const type of types) {
      expect(squaredError(decode(quantizeSuperBlocks(values, type), type), values) / size, type).toBeLessThan(
        known[type],
      );
    }
  });

  test.each(types)('%s holds zeros, one sign only, one weight only, and weights too small for float16', (type) => {
    const of = (make: (at: number) => number) => Float32Array.from({ length: 256 }, (_, at) => make(at));
    expect(
      decode(
        quantizeSuperBlocks(
          of(() => 0),
          type,
        ),
        type,
      ).every((value) => value === 0),
    ).toBe(true);
    for (const values of [
      of(() => -0.25),
      of(() => 0.25),
      of((at) => (at === 77 ? -3 : 0)),
      of((at) => 1 + at / 256),
    ]) {
      const error = squaredError(decode(quantizeSuperBlocks(values, type), type), values);
      expect(
        error /
          squaredError(
            values,
            values.map(() => 0),
          ),
      ).toBeLessThan(type === 'Q2_K' ? 0.02 : 0.01);
    }
    const tiny = decode(
      quantizeSuperBlocks(
        of((at) => (at % 2) * 1e-12),
        type,
      ),
      type,
    );
    expect(tiny.every((value) => Math.abs(value) < 1e-6)).toBe(true);
  });

  test('rows of other lengths and weights that are no numbers are refused', () => {
    expect(() => quantizeSuperBlocks(weights(128), 'Q4_K')).toThrow(/no whole super-blocks/);
    const broken = weights(512);
    broken[300] = NaN;
    expect(() => quantizeSuperBlocks(broken, 'Q6_K')).toThrow(/Weight 300 .* NaN/);
  });
});

function dequantizedError(
  values: Float32Array,
  format: { readonly bits: 2 | 3 | 4; readonly group: number; readonly symmetric: boolean },
): number {
  return squaredError(dequantize(roundToNearest({ values, rows: values.length / 256, columns: 256 }, format)), values);
}
