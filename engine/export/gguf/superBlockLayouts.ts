/** Weights of a super-block (QK_K). */
export const superBlockWeights = 256;

/** Block types whose scales are codes themselves (k-quants). */
export type SuperBlockType = 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K';

/** A super-block as numbers: weight = scale · scales[sub-block] · code - offset · offsets[sub-block]. */
export interface SuperBlock {
  /** Float16 bits. */
  scale: number;
  /** Float16 bits; types with centred codes have none. */
  offset: number;
  /** Of sub-blocks in order; signed where codes are centred. */
  readonly scales: Int16Array;
  readonly offsets: Int16Array;
  /** Unsigned codes; centred ones are moved up by their half range. */
  readonly codes: Uint8Array;
}

type WriteSuperBlock = (block: SuperBlock, bytes: Uint8Array, at: number) => void;

/** Where the parts of a super-block lie in its bytes (structures of ggml-common.h, packing of ggml-quants.c). */
export const superBlockLayouts: Readonly<Record<SuperBlockType, WriteSuperBlock>> = {
  Q2_K({ scales, offsets, codes, scale, offset }, bytes, at) {
    for (let sub = 0; sub < 16; sub += 1) {
      bytes[at + sub] = scales[sub]! | (offsets[sub]! << 4);
    }
    writePairs(codes, bytes, at + 16);
    writeHalf(bytes, at + 80, scale);
    writeHalf(bytes, at + 82, offset);
  },
  Q3_K({ scales, codes, scale }, bytes, at) {
    // Bit b of byte l is the highest of weight 32 b + l.
    for (let weight = 0; weight < 256; weight += 1) {
      bytes[at + (weight & 31)]! |= (codes[weight]! >> 2) << (weight >> 5);
    }
    writePairs(codes, bytes, at + 32);
    for (let sub = 0; sub < 16; sub += 1) {
      const code = scales[sub]! + 32;
      bytes[at + 96 + (sub & 7)]! |= (code & 15) << (sub < 8 ? 0 : 4);
      bytes[at + 104 + (sub & 3)]! |= (code >> 4) << (2 * (sub >> 2));
    }
    writeHalf(bytes, at + 108, scale);
  },
  Q4_K(block, bytes, at) {
    writeHalf(bytes, at, block.scale);
    writeHalf(bytes, at + 2, block.offset);
    writeSixBits(block, bytes, at + 4);
    writeNibbles(block.codes, bytes, at + 16);
  },
  Q5_K(block, bytes, at) {
    writeHalf(bytes, at, block.scale);
    writeHalf(bytes, at + 2, block.offset);
    writeSixBits(block, bytes, at + 4);
    for (let weight = 0; weight < 256; weight += 1) {
      bytes[at + 16 + (weight & 31)]! |= (block.codes[weight]! >> 4) << (weight >> 5);
    }
    writeNibbles(block.codes, bytes, at + 48);
  },
  Q6_K({ scales, codes, scale }, bytes, at) {
    for (let half = 0; half < 2; half += 1) {
      for (let lane = 0; lane < 32; lane += 1) {
        const first = half * 128 + lane;
        const [one, two, three, four] = [codes[first]!, codes[first + 32]!, codes[first + 64]!, codes[first + 96]!];
        bytes[at + half * 64 + lane] = (one & 15) | ((three & 15) << 4);
        bytes[at + half * 64 + 32 + lane] = (two & 15) | ((four & 15) << 4);
        bytes[at + 128 + half * 32 + lane] = (one >> 4) | ((two >> 4) << 2) | ((three >> 4) << 4) | ((four >> 4) << 6);
      }
    }
    for (let sub = 0; sub < 16; sub += 1) {
      bytes[at + 192 + sub] = scales[sub]!;
    }
    writeHalf(bytes, at + 208, scale);
  },
};

/** The low two bits of codes: of 128 weights, byte l holds l, l + 32, l + 64 and l + 96. */
function writePairs(codes: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let byte = 0; byte < 64; byte += 1) {
    const first = (byte >> 5) * 128 + (byte & 31);
    bytes[at + byte] =
      (codes[first]! & 3) |
      ((codes[first + 32]! & 3) << 2) |
      ((codes[first + 64]! & 3) << 4) |
      ((codes[first + 96]! & 3) << 6);
  }
}

/** The low four bits of codes: of 64 weights, byte l holds l and l + 32. */
function writeNibbles(codes: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let byte = 0; byte < 128; byte += 1) {
    const first = (byte >> 5) * 64 + (byte & 31);
    bytes[at + byte] = (codes[first]! & 15) | ((codes[first + 32]! & 15) << 4);
  }
}

/**
 * Eight scales and eight offsets of six bits in twelve bytes: the first four of each whole in bytes 0 to 3 and 4 to 7, of the last four
 * the low bits in bytes 8 to 11 and the two high bits on top of the first eight bytes.
 */
function writeSixBits({ scales, offsets }: SuperBlock, bytes: Uint8Array, at: number): void {
  for (let sub = 0; sub < 4; sub += 1) {
    const [scale, offset] = [scales[sub + 4]!, offsets[sub + 4]!];
    bytes[at + sub] = scales[sub]! | ((scale >> 4) << 6);
    bytes[at + 4 + sub] = offsets[sub]! | ((offset >> 4) << 6);
    bytes[at + 8 + sub] = (scale & 15) | ((offset & 15) << 4);
  }
}

/** Float16 bits, low byte first. */
function writeHalf(bytes: Uint8Array, at: number, pattern: number): void {
  bytes[at] = pattern & 0xff;
  bytes[at + 1] = pattern >>> 8;
}
