import { fromFloat32, type FloatDtype } from '../../checkpoint/encodeDtype';
import { unpackCodes } from '../../methods/quantize/packCodes';
import type { StoredCodes } from '../../methods/quantize/storedCodes';

/** Bits of codes above which a table of all levels of a group is longer than the group. */
const tableBits = 4;

/**
 * The weights that codes stand for, each rounded to float32, multiplied by the factor, and rounded to the dtype. Groups of few levels
 * look their values up: each level is computed once.
 */
export function decodeCodes(stored: StoredCodes, dtype: FloatDtype, factor: number): Uint8Array {
  const { bits, group, scales, zeroPoints } = stored;
  const codes = unpackCodes(stored.packed, bits);
  const middle = 2 ** (bits - 1);
  if (bits > tableBits || group <= 2 ** bits || dtype === 'F32') {
    const values = new Float32Array(codes.length);
    for (let inGroup = 0, at = 0; inGroup < scales.length; inGroup += 1) {
      const scale = scales[inGroup]!;
      const zero = zeroPoints === undefined ? middle : zeroPoints[inGroup]!;
      for (const end = at + group; at < end; at += 1) {
        values[at] = Math.fround((codes[at]! - zero) * scale) * factor;
      }
    }
    return fromFloat32(dtype, values);
  }
  const levels = 2 ** bits;
  const values = new Float32Array(scales.length * levels);
  for (let inGroup = 0, at = 0; inGroup < scales.length; inGroup += 1) {
    const scale = scales[inGroup]!;
    const zero = zeroPoints === undefined ? middle : zeroPoints[inGroup]!;
    for (let code = 0; code < levels; code += 1, at += 1) {
      values[at] = Math.fround((code - zero) * scale) * factor;
    }
  }
  const table = new Uint16Array(fromFloat32(dtype, values).buffer);
  const result = new Uint16Array(codes.length);
  for (let inGroup = 0, at = 0, base = 0; inGroup < scales.length; inGroup += 1, base += levels) {
    for (const end = at + group; at < end; at += 1) {
      result[at] = table[base + codes[at]!]!;
    }
  }
  return new Uint8Array(result.buffer);
}
