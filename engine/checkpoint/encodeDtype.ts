import type { Dtype } from './types';

/** Dtypes that computed weights are stored in. */
export type FloatDtype = Extract<Dtype, 'F32' | 'F16' | 'BF16'>;

/**
 * Float32 values as the little-endian bytes of a dtype, rounded to the nearest, ties to even: values that the dtype holds exactly
 * come back bit for bit. An F32 result shares its memory.
 */
export function fromFloat32(dtype: FloatDtype, values: Float32Array): Uint8Array {
  switch (dtype) {
    case 'F32':
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    case 'BF16':
      return encode(values, bfloat16);
    case 'F16':
      return encode(values, float16);
  }
}

function encode(values: Float32Array, element: (bits: number) => number): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(values.length);
  for (let at = 0; at < bits.length; at += 1) {
    result[at] = element(bits[at]!);
  }
  return new Uint8Array(result.buffer);
}

/** The upper half of a float32; a NaN keeps its upper payload and stays one. */
function bfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) {
    return (bits >>> 16) | 0x40;
  }
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** IEEE 754 binary16; values beyond its range become infinity. */
function float16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  }
  if (magnitude >= 0x477ff000) {
    return sign | 0x7c00;
  }
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // Subnormal: the mantissa with its leading one, shifted so that its unit is 2^-24.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) {
    return sign;
  }
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & (2 ** shift - 1);
  const half = 2 ** (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}
