/**
 * Codes as bytes, low bits first: the layout of `BlockQuantizedWeight` and of ONNX Runtime's MatMulNBits.
 * @param bits stored bits of a code: 2, 4 or 8
 * @param codes unsigned codes, one byte each; their number times `bits` must be a multiple of 8
 */
export function packCodes(codes: Uint8Array, bits: 2 | 4 | 8): Uint8Array {
  if (bits === 8) {
    return codes;
  }
  const packed = new Uint8Array((codes.length * bits) / 8);
  if (bits === 4) {
    for (let at = 0, from = 0; at < packed.length; at += 1, from += 2) {
      packed[at] = codes[from]! | (codes[from + 1]! << 4);
    }
    return packed;
  }
  for (let at = 0, from = 0; at < packed.length; at += 1, from += 4) {
    packed[at] = codes[from]! | (codes[from + 1]! << 2) | (codes[from + 2]! << 4) | (codes[from + 3]! << 6);
  }
  return packed;
}

/** The inverse of {@link packCodes}. */
export function unpackCodes(packed: Uint8Array, bits: 2 | 4 | 8): Uint8Array {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const codes = new Uint8Array(packed.length * perByte);
  if (bits === 4) {
    for (let from = 0, at = 0; from < packed.length; from += 1, at += 2) {
      const byte = packed[from]!;
      codes[at] = byte & 15;
      codes[at + 1] = byte >> 4;
    }
    return codes;
  }
  for (let at = 0; at < codes.length; at += 1) {
    codes[at] = (packed[Math.floor(at / perByte)]! >> (bits * (at % perByte))) & mask;
  }
  return codes;
}
