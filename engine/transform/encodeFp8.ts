import { toFloat32 } from '../checkpoint/convertDtype';
import type { Dtype } from '../checkpoint/types';

export type Fp8Dtype = Extract<Dtype, 'F8_E4M3' | 'F8_E5M2'>;

/** Codes of FP8 with one scale per block of rows × columns, as DeepSeek-V3 stores them: weight = code · scale. */
export interface Fp8Blocks {
  readonly codes: Uint8Array;
  /** Row-major `[⌈rows / block rows⌉, ⌈columns / block columns⌉]`. */
  readonly scales: Float32Array;
}

/** Finite values of the non-negative codes, ascending. */
const magnitudes = new Map<Fp8Dtype, Float32Array>();

function magnitudesOf(dtype: Fp8Dtype): Float32Array {
  const known = magnitudes.get(dtype);
  if (known !== undefined) {
    return known;
  }
  const all = toFloat32(
    dtype,
    Uint8Array.from({ length: 128 }, (_, code) => code),
  );
  const finite = all.filter((value) => Number.isFinite(value));
  magnitudes.set(dtype, finite);
  return finite;
}

/**
 * Rounds a matrix to the nearest FP8 codes; the largest weight of a block gets the largest code (DeepSeek-V3,
 * arXiv 2412.19437, §3.3.2).
 * @param values row-major `[rows, columns]`
 * @param roundScale brings a scale to the precision it will be stored with
 */
export function encodeFp8Blocks(
  values: Float32Array,
  columns: number,
  block: readonly [number, number],
  dtype: Fp8Dtype,
  roundScale: (scale: number) => number = Math.fround,
): Fp8Blocks {
  const steps = magnitudesOf(dtype);
  const largest = steps.at(-1)!;
  const rows = values.length / columns;
  const scaleColumns = Math.ceil(columns / block[1]);
  const scales = new Float32Array(Math.ceil(rows / block[0]) * scaleColumns);
  const scaleAt = (row: number, column: number) =>
    Math.floor(row / block[0]) * scaleColumns + Math.floor(column / block[1]);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const at = scaleAt(row, column);
      scales[at] = Math.max(scales[at]!, Math.abs(values[row * columns + column]!));
    }
  }
  scales.forEach((most, at) => (scales[at] = most === 0 ? 1 : roundScale(most / largest)));
  const codes = new Uint8Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const value = values[row * columns + column]! / scales[scaleAt(row, column)]!;
      codes[row * columns + column] = nearest(steps, Math.abs(value)) | (value < 0 ? 0x80 : 0);
    }
  }
  return { codes, scales };
}

/** Position of the nearest value, the even position of two equally near ones. */
function nearest(steps: Float32Array, value: number): number {
  let low = 0;
  let high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (steps[middle]! < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low === 0) {
    return 0;
  }
  const [below, above] = [value - steps[low - 1]!, steps[low]! - value];
  return below < above || (below === above && (low & 1) === 1) ? low - 1 : low;
}
