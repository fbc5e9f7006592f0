import { emptyQuantized, roundScale, type Matrix, type QuantizedMatrix, type RoundingFormat } from './quantizedMatrix';

/**
 * Round-to-nearest with one scale per group.
 *
 * Symmetric: s = max|w| / (2^(b-1) - 1), code = round(w / s) + 2^(b-1). The code 0 is never used, so the largest weight of either sign
 * is exact, and the levels are those of PyTorch's symmetric quantizers.
 * Asymmetric: s = (max(w, 0) - min(w, 0)) / (2^b - 1), zero point z = round(-min(w, 0) / s), code = round(w / s) + z.
 * Groups of zeros get the scale 1. Error per weight: at most s/2, plus what rounding the scale to 16 bits costs at the ends.
 */
export function roundToNearest({ values, rows, columns }: Matrix, format: RoundingFormat): QuantizedMatrix {
  const result = emptyQuantized(rows, columns, format);
  const round = format.symmetric ? roundSymmetric : roundAsymmetric;
  for (let inGroup = 0, start = 0; start < values.length; inGroup += 1, start += format.group) {
    round(values, start, inGroup, result);
  }
  return result;
}

function roundSymmetric(values: Float32Array, start: number, inGroup: number, result: QuantizedMatrix): void {
  const { group, bits, codes, scales } = result;
  let largest = 0;
  for (let at = start; at < start + group; at += 1) {
    const size = Math.abs(values[at]!);
    if (size > largest) {
      largest = size;
    }
  }
  const middle = 2 ** (bits - 1);
  const scale = largest === 0 ? 1 : roundScale(largest / (middle - 1));
  scales[inGroup] = scale;
  encodeGroup(values, start, group, scale, middle, 2 * middle - 1, codes);
}

function roundAsymmetric(values: Float32Array, start: number, inGroup: number, result: QuantizedMatrix): void {
  const { group, bits, codes, scales, zeroPoints } = result;
  let [lowest, highest] = [0, 0];
  for (let at = start; at < start + group; at += 1) {
    const value = values[at]!;
    if (value < lowest) {
      lowest = value;
    } else if (value > highest) {
      highest = value;
    }
  }
  const top = 2 ** bits - 1;
  const scale = highest === lowest ? 1 : roundScale((highest - lowest) / top);
  const zero = Math.min(top, Math.round(-lowest / scale));
  scales[inGroup] = scale;
  zeroPoints![inGroup] = zero;
  encodeGroup(values, start, group, scale, zero, top, codes);
}

/** Codes of one group for a known scale and zero point; halves go to the even code, as PyTorch rounds. */
export function encodeGroup(
  values: ArrayLike<number>,
  start: number,
  count: number,
  scale: number,
  zero: number,
  top: number,
  codes: Uint8Array,
  codesStart = start,
): void {
  const inverse = 1 / scale;
  for (let at = 0; at < count; at += 1) {
    codes[codesStart + at] = nearestCode(values[start + at]! * inverse + zero, top);
  }
}

/** The nearest whole number from 0 to `top`, ties to even. */
export function nearestCode(value: number, top: number): number {
  if (value <= 0) {
    return 0;
  }
  if (value >= top) {
    return top;
  }
  const code = (value + 0.5) | 0;
  return code - value === 0.5 && (code & 1) === 1 ? code - 1 : code;
}
