/** Element decoders of the safetensors format, written from the number formats themselves. */

/** bfloat16: the upper half of an IEEE binary32. */
export function decodeBfloat16(bits: number): number {
  const buffer = new DataView(new ArrayBuffer(4));
  buffer.setUint32(0, bits << 16);
  return buffer.getFloat32(0);
}

/** IEEE binary16. */
export function decodeFloat16(bits: number): number {
  return decodeSmallFloat(bits, 16, 5, 10, 'ieee');
}

/** FP8 E4M3 in the finite variant of the OCP format: no infinities, one NaN pattern per sign. */
export function decodeFloat8E4M3(bits: number): number {
  return decodeSmallFloat(bits, 8, 4, 3, 'finite');
}

/** FP8 E5M2: IEEE-like, with infinities. */
export function decodeFloat8E5M2(bits: number): number {
  return decodeSmallFloat(bits, 8, 5, 2, 'ieee');
}

/** FP4 E2M1, the element of MXFP4: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives. */
export function decodeFloat4E2M1(bits: number): number {
  const magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
  return (bits & 8 ? -1 : 1) * magnitudes[bits & 7]!;
}

function decodeSmallFloat(
  bits: number,
  width: number,
  exponentBits: number,
  fractionBits: number,
  specials: 'ieee' | 'finite',
): number {
  const sign = (bits >> (width - 1)) & 1 ? -1 : 1;
  const exponentMask = (1 << exponentBits) - 1;
  const exponent = (bits >> fractionBits) & exponentMask;
  const fraction = bits & ((1 << fractionBits) - 1);
  const bias = (1 << (exponentBits - 1)) - 1;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  if (exponent === exponentMask && specials === 'ieee') return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === exponentMask && fraction === (1 << fractionBits) - 1) return NaN;
  return sign * (1 + fraction / (1 << fractionBits)) * 2 ** (exponent - bias);
}
