import { toFloat16Bits } from '../../numeric/halfPrecision';
import { unpackCodes } from './packCodes';
import type { StoredCodes } from './storedCodes';

/** Block types of ggml that hold the codes of a rounded weight, and the bytes of one block. */
export const codeBlockBytes = { Q4_0: 18, Q4_1: 20, Q8_0: 34 } as const;

export type CodeType = keyof typeof codeBlockBytes;

/** Weights of one block of every such type. */
export const codeBlockWeights = 32;

/**
 * Rows of a rounded weight as blocks with the same codes and scales. Layouts: `block_q4_0`, `block_q4_1` and `block_q8_0` of
 * ggml-common.h; a scale (and offset) in float16, then codes, in 4 bits those of the first half of the block in the low ones.
 * @param stored its groups are a multiple of the weights of a block
 * @param factor multiplies all weights, through their scales
 * @throws RangeError for a code that the type has no room for
 */
export function codeBlocks(stored: StoredCodes, type: CodeType, factor: number): Uint8Array {
  const { packed, scales, zeroPoints, bits, group } = stored;
  const sameCodes = zeroPoints === undefined && bits === (type === 'Q8_0' ? 8 : 4);
  if (sameCodes && type !== 'Q4_1') {
    return movedCodes(packed, scales, group / codeBlockWeights, type, factor);
  }
  const codes = unpackCodes(packed, bits);
  const bytes = codeBlockBytes[type];
  const blocks = new Uint8Array((codes.length / codeBlockWeights) * bytes);
  const perScale = group / codeBlockWeights;
  // Codes relative to zero, moved to where the type has its zero.
  const middle = type === 'Q4_0' ? 8 : 0;
  const header = type === 'Q4_1' ? 4 : 2;
  for (let block = 0, start = 0, at = 0; start < codes.length; block += 1, start += codeBlockWeights, at += bytes) {
    const inGroup = Math.floor(block / perScale);
    const scale = scales[inGroup]! * factor;
    const zero = zeroPoints?.[inGroup] ?? 2 ** (bits - 1);
    writeHalf(blocks, at, scale);
    if (type === 'Q4_1') {
      writeHalf(blocks, at + 2, -zero * scale);
    }
    const shift = type === 'Q4_1' ? 0 : middle - zero;
    if (type === 'Q8_0') {
      for (let inBlock = 0; inBlock < codeBlockWeights; inBlock += 1) {
        const code = codes[start + inBlock]! + shift;
        if (code < -128 || code > 127) {
          throw outside(type);
        }
        blocks[at + header + inBlock] = code;
      }
      continue;
    }
    for (let inBlock = 0; inBlock < codeBlockWeights / 2; inBlock += 1) {
      const low = codes[start + inBlock]! + shift;
      const high = codes[start + inBlock + codeBlockWeights / 2]! + shift;
      if ((low | high) & ~15) {
        throw outside(type);
      }
      blocks[at + header + inBlock] = low | (high << 4);
    }
  }
  return blocks;
}

/** Centred codes that have the bits of the type already: bytes change places, and those of Q8_0 become signed. */
function movedCodes(
  packed: Uint8Array,
  scales: Float32Array,
  perScale: number,
  type: 'Q4_0' | 'Q8_0',
  factor: number,
): Uint8Array {
  const bytes = codeBlockBytes[type];
  const count = scales.length * perScale;
  const blocks = new Uint8Array(count * bytes);
  for (let inGroup = 0, at = 0, from = 0; inGroup < scales.length; inGroup += 1) {
    const pattern = toFloat16Bits(scales[inGroup]! * factor);
    for (let block = 0; block < perScale; block += 1, at += bytes) {
      blocks[at] = pattern & 0xff;
      blocks[at + 1] = pattern >>> 8;
      if (type === 'Q8_0') {
        for (let inBlock = 0; inBlock < 32; inBlock += 1) {
          blocks[at + 2 + inBlock] = packed[from + inBlock]! ^ 0x80;
        }
        from += 32;
        continue;
      }
      for (let pair = 0; pair < 8; pair += 1) {
        const first = packed[from + pair]!;
        const second = packed[from + pair + 8]!;
        blocks[at + 2 + 2 * pair] = (first & 15) | ((second & 15) << 4);
        blocks[at + 3 + 2 * pair] = (first >> 4) | (second & 0xf0);
      }
      from += 16;
    }
  }
  return blocks;
}

function writeHalf(bytes: Uint8Array, at: number, value: number): void {
  const pattern = toFloat16Bits(value);
  bytes[at] = pattern & 0xff;
  bytes[at + 1] = pattern >>> 8;
}

function outside(type: CodeType): RangeError {
  return new RangeError(`A code does not fit into ${type}.`);
}
