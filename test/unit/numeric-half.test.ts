import { expect, test } from 'vitest';
import { toFloat32 } from '../../engine/checkpoint/convertDtype';
import { toBfloat16Bits, toFloat16Bits } from '../../engine/numeric/halfPrecision';

const bytes = (bits: number) => new Uint8Array(Uint16Array.of(bits).buffer);

test('every float16 and bfloat16 value keeps its bits', () => {
  for (let bits = 0; bits < 2 ** 16; bits += 1) {
    const [half, brain] = [toFloat32('F16', bytes(bits))[0]!, toFloat32('BF16', bytes(bits))[0]!];
    expect(Number.isNaN(half) || toFloat16Bits(half) === bits).toBe(true);
    expect(Number.isNaN(brain) || toBfloat16Bits(brain) === bits).toBe(true);
  }
});

test.each([
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [65519, 0x7bff],
  [65520, 0x7c00],
  [-1e9, 0xfc00],
  [2 ** -25, 0],
  [2 ** -24 * 0.75, 1],
])('%d rounds to the nearest float16, ties to even', (value, bits) => {
  expect(toFloat16Bits(value)).toBe(bits);
});
