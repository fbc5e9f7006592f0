import { kernelStep, kernelWeights, packKernel } from './packKernel';
import { largestScale, roundScale } from './quantizedMatrix';

/** 2^52: above it every double is a whole number. */
const whole = 4503599627370496;

/** Packed codes and scales of one matrix. */
export interface PackedMatrix {
  /** Low bits first, as `packCodes` gives them. */
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Least bit pattern of a bfloat16 without its sign that is no number. */
const notFinite = 0x7f80;

/**
 * Symmetric round-to-nearest of bfloat16 weights to 4 or 8 bits straight from their stored bits: the same codes and scales as
 * `roundToNearest` and `packCodes`, many times as fast.
 * @param stored bit patterns `[rows, columns]`; their number must be a multiple of the group, the group even
 */
export function packBfloat16(stored: Uint16Array, group: number, bits: 4 | 8): PackedMatrix {
  return group % kernelStep === 0 && group <= kernelWeights
    ? packByVectors(stored, group, bits)
    : packOneByOne(stored, group, bits);
}

/** A megabyte of weights after the other in the memory of the kernel; scales are rounded here, between its two passes. */
function packByVectors(stored: Uint16Array, group: number, bits: 4 | 8): PackedMatrix {
  const kernel = packKernel();
  const scales = new Float32Array(stored.length / group);
  const codes = new Uint8Array((stored.length * bits) / 8);
  const middle = 2 ** (bits - 1);
  const most = Math.floor(kernelWeights / group) * group;
  const float = new Float32Array(1);
  const pattern = new Uint32Array(float.buffer);
  for (let start = 0; start < stored.length; start += most) {
    const part = stored.subarray(start, start + most);
    const groups = part.length / group;
    const first = start / group;
    kernel.weights.set(part);
    kernel.findMaxima(groups, group);
    let limited = false;
    for (let at = 0; at < groups; at += 1) {
      const largest = kernel.maxima[at]!;
      pattern[0] = largest << 16;
      const scale = largest === 0 ? 1 : roundScale(float[0]! / (middle - 1));
      limited ||= scale === largestScale || largest >= notFinite;
      scales[first + at] = scale;
      kernel.inverses[at] = 1 / scale;
    }
    if (limited) {
      const single = packOneByOne(part, group, bits);
      scales.set(single.scales, first);
      codes.set(single.codes, (start * bits) / 8);
      continue;
    }
    kernel.packCodes(groups, group, bits);
    codes.set(kernel.codes.subarray(0, (part.length * bits) / 8), (start * bits) / 8);
  }
  return { codes, scales };
}

/** The same for groups of any even size and for weights beyond the range of scales. */
function packOneByOne(stored: Uint16Array, group: number, bits: 4 | 8): PackedMatrix {
  const scales = new Float32Array(stored.length / group);
  const codes = new Uint8Array((stored.length * bits) / 8);
  const floats = new Float32Array(group);
  const patterns = new Uint32Array(floats.buffer);
  const middle = 2 ** (bits - 1);
  const shift = whole + middle;
  let written = 0;
  for (let inGroup = 0, start = 0; inGroup < scales.length; inGroup += 1, start += group) {
    // Without the sign bit, bfloat16 patterns are in the order of their sizes.
    let largest = 0;
    for (let at = 0; at < group; at += 1) {
      const pattern = stored[start + at]!;
      patterns[at] = pattern << 16;
      const size = pattern & 0x7fff;
      largest = size > largest ? size : largest;
    }
    let scale = 1;
    if (largest > 0) {
      const first = patterns[0]!;
      patterns[0] = largest << 16;
      scale = roundScale(floats[0]! / (middle - 1));
      patterns[0] = first;
    }
    scales[inGroup] = scale;
    // Adding and taking away 2^52 makes the processor round to whole numbers, ties to even. No code can leave its range, because
    // the scale is that of the largest weight; where float16 has no such scale, codes are limited.
    const inverse = 1 / scale;
    if (scale === largestScale) {
      limit(floats, scale * (middle - 1));
    }
    if (bits === 8) {
      for (let at = 0; at < group; at += 1) {
        codes[written] = floats[at]! * inverse + shift - whole;
        written += 1;
      }
    } else {
      for (let at = 0; at < group; at += 2) {
        const low = floats[at]! * inverse + shift - whole;
        codes[written] = low + 16 * (floats[at + 1]! * inverse + shift - whole);
        written += 1;
      }
    }
  }
  return { codes, scales };
}

function limit(values: Float32Array, most: number): void {
  for (let at = 0; at < values.length; at += 1) {
    values[at] = Math.max(-most, Math.min(most, values[at]!));
  }
}
