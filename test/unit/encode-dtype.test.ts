import { expect, it } from 'vitest';
import { toFloat32 } from '../../engine/checkpoint/convertDtype';
import { fromFloat32 } from '../../engine/checkpoint/encodeDtype';
import { SeededRandom } from '../../engine/numeric/seededRandom';

it.each(['BF16', 'F16'] as const)('every %s comes back bit for bit', (dtype) => {
  const patterns = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const values = toFloat32(dtype, new Uint8Array(patterns.buffer));
  const bytes = fromFloat32(dtype, values);
  const back = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const wrong = [...patterns].filter((bits) => !Number.isNaN(values[bits]) && back[bits] !== bits);
  expect(wrong).toEqual([]);
  // Not-a-number stays one, whatever its payload.
  const again = toFloat32(dtype, bytes);
  expect(values.every((value, at) => Number.isNaN(value) === Number.isNaN(again[at]))).toBe(true);
});

it.each([
  ['BF16', 2 ** 127 * 1.9],
  ['F16', 65500],
] as const)('%s rounds to the nearest, ties to the even pattern', (dtype, largest) => {
  const patterns = Uint16Array.from({ length: 0x8000 }, (_, bits) => bits);
  const grid = toFloat32(dtype, new Uint8Array(patterns.buffer));
  const finite = [...grid].filter(Number.isFinite);
  const random = new SeededRandom(1);
  const check = (value: number, expected: number) => {
    const [rounded] = toFloat32(dtype, fromFloat32(dtype, Float32Array.of(value)));
    expect(rounded).toBe(Math.fround(expected));
  };
  for (let draw = 0; draw < 2000; draw += 1) {
    const at = random.integerBelow(finite.length - 1);
    const [below, above] = [finite[at]!, finite[at + 1]!];
    if (above > largest) {
      continue;
    }
    const middle = Math.fround((below + above) / 2);
    check(middle, at % 2 === 0 ? below : above);
    check(below + (above - below) * 0.4375, below);
    check(-(below + (above - below) * 0.5625), -above);
  }
});

it('F16 overflows to infinity beyond its range, and the smallest values to zero', () => {
  const rounded = (value: number) => toFloat32('F16', fromFloat32('F16', Float32Array.of(value)))[0];
  expect([65519, 65520, -1e30, 2 ** -25, 2 ** -25 * 1.001, 1e-30].map(rounded)).toEqual([
    65504,
    Infinity,
    -Infinity,
    0,
    2 ** -24,
    0,
  ]);
});
