/**
 * Weights of the super-blocks of GGUF files (Q2_K to Q6_K), one at a time, from the description of the layouts: every number is read
 * from its bits by its place in the block. Shares no code with the engine.
 */
export function decodeSuperBlock(type: string, block: Uint8Array, weight: number): number {
  const { codeBits, subBlock, scaleAt, centre } = layouts[type]!;
  let code = -centre;
  for (let bit = 0; bit < codeBits; bit += 1) {
    code += bitOf(block, codeBitAt[type]!(weight, bit)) << bit;
  }
  const sub = Math.floor(weight / subBlock);
  const [scale, offset] = levels[type]!(block, sub);
  const half = (at: number) => float16(block[at]! | (block[at + 1]! << 8));
  return half(scaleAt) * scale * code - (offset === undefined ? 0 : half(scaleAt + 2) * offset);
}

/** Bits of codes, weights of a sub-block, byte of the float16 scale (its offset follows), the code that stands for zero. */
const layouts: Readonly<
  Record<
    string,
    { readonly codeBits: number; readonly subBlock: number; readonly scaleAt: number; readonly centre: number }
  >
> = {
  Q2_K: { codeBits: 2, subBlock: 16, scaleAt: 80, centre: 0 },
  Q3_K: { codeBits: 3, subBlock: 16, scaleAt: 108, centre: 4 },
  Q4_K: { codeBits: 4, subBlock: 32, scaleAt: 0, centre: 0 },
  Q5_K: { codeBits: 5, subBlock: 32, scaleAt: 0, centre: 0 },
  Q6_K: { codeBits: 6, subBlock: 16, scaleAt: 208, centre: 32 },
};

/** Number of a bit of the block: eight times its byte, and its place in that. */
const position = (byte: number, bit: number) => 8 * byte + bit;

/** Four groups of 32 weights share 32 bytes, two bits each; 128 weights take 32 bytes. */
const pairs = (start: number, weight: number, bit: number) =>
  position(start + 32 * Math.floor(weight / 128) + (weight % 32), 2 * (Math.floor(weight / 32) % 4) + bit);

/** Two groups of 32 weights share 32 bytes, four bits each. */
const nibbles = (start: number, weight: number, bit: number) =>
  position(start + 32 * Math.floor(weight / 64) + (weight % 32), 4 * (Math.floor(weight / 32) % 2) + bit);

/** Eight groups of 32 weights share 32 bytes, one bit each. */
const single = (start: number, weight: number) => position(start + (weight % 32), Math.floor(weight / 32));

/** Where the bits of a code lie. */
const codeBitAt: Readonly<Record<string, (weight: number, bit: number) => number>> = {
  Q2_K: (weight, bit) => pairs(16, weight, bit),
  Q3_K: (weight, bit) => (bit === 2 ? single(0, weight) : pairs(32, weight, bit)),
  Q4_K: (weight, bit) => nibbles(16, weight, bit),
  Q5_K: (weight, bit) => (bit === 4 ? single(16, weight) : nibbles(48, weight, bit)),
  // 128 weights take 64 bytes: the low nibbles hold the first 64 of them, the high ones the others.
  Q6_K: (weight, bit) =>
    bit < 4
      ? position(64 * Math.floor(weight / 128) + (weight % 64), 4 * (Math.floor(weight / 64) % 2) + bit)
      : pairs(128, weight, bit - 4),
};

/** Scale and offset of a sub-block as the codes they are stored in. */
const levels: Readonly<
  Record<string, (block: Uint8Array, sub: number) => readonly [scale: number, offset: number | undefined]>
> = {
  Q2_K: (block, sub) => [block[sub]! % 16, Math.floor(block[sub]! / 16)],
  Q3_K: (block, sub) => {
    const low = (block[96 + (sub % 8)]! >> (sub < 8 ? 0 : 4)) % 16;
    const high = (block[104 + (sub % 4)]! >> (2 * Math.floor(sub / 4))) % 4;
    return [low + 16 * high - 32, undefined];
  },
  Q4_K: sixBits,
  Q5_K: sixBits,
  Q6_K: (block, sub) => [(block[192 + sub]! << 24) >> 24, undefined],
};

/** Bytes 4 to 15: scales 0 to 3, offsets 0 to 3, low bits of the others; the others' high bits lie above the first eight. */
function sixBits(block: Uint8Array, sub: number): readonly [number, number] {
  if (sub < 4) {
    return [block[4 + sub]! % 64, block[8 + sub]! % 64];
  }
  const low = block[8 + sub]!;
  return [(low % 16) + 16 * (block[sub]! >> 6), (low >> 4) + 16 * (block[4 + sub]! >> 6)];
}

function bitOf(block: Uint8Array, at: number): number {
  return (block[Math.floor(at / 8)]! >> (at % 8)) & 1;
}

/** Value of float16 bits, from the definition of the format. */
export function float16(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size =
    exponent === 31 ? Infinity : exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}
