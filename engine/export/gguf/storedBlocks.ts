import { readTensorBytes, readTensorFloat32 } from '../../checkpoint/readTensor';
import type { BlockQuantizedWeight, WeightSource } from '../../families/specification';
import { unpackCodes } from '../../methods/quantize/packCodes';
import { toFloat16Bits } from '../../numeric/halfPrecision';
import { TunerError } from '../../protocol/errors';
import { ggmlTypes } from './ggmlTypes';

/** Block types that hold the codes of a rounded weight. */
export type CodeType = 'Q4_0' | 'Q4_1' | 'Q8_0';

/** Weights of one block of every such type. */
const blockWeights = 32;

/**
 * How the codes of a rounded weight come into blocks: as they are; as they are, with offsets that float16 rounds; or only by rounding
 * the weights once more.
 */
export type CodeFit = 'exact' | 'rounded offsets' | 'rounded again';

/**
 * @param bits that the codes use, which may be fewer than they are stored in
 */
export function codeFit(weight: BlockQuantizedWeight, bits: number, type: CodeType): CodeFit {
  if (weight.group % blockWeights !== 0) {
    return 'rounded again';
  }
  const centred = weight.zeroPoints === undefined;
  switch (type) {
    case 'Q4_0':
      // Codes of 3 bits differ from their zero points by 7 at most, whatever these are.
      return bits < 4 || (bits === 4 && centred) ? 'exact' : 'rounded again';
    case 'Q8_0':
      return bits < 8 || centred ? 'exact' : 'rounded again';
    case 'Q4_1':
      return bits <= 4 ? 'rounded offsets' : 'rounded again';
  }
}

/**
 * Rows of a rounded weight as blocks with the same codes and scales. Layouts: `block_q4_0`, `block_q4_1` and `block_q8_0` of
 * ggml-common.h; a scale (and offset) in float16, then codes, in 4 bits those of the first half of the block in the low ones.
 * @param factor multiplies all weights, through their scales
 * @throws TunerError `internal` for a weight that {@link codeFit} calls unfit
 */
export async function storedBlocks(weight: BlockQuantizedWeight, type: CodeType, factor: number): Promise<Uint8Array> {
  const packed = await readTensorBytes(weight.codes);
  const scales = await readTensorFloat32(weight.scales);
  const sameCodes = weight.zeroPoints === undefined && weight.bits === (type === 'Q8_0' ? 8 : 4);
  if (sameCodes && type !== 'Q4_1') {
    return movedCodes(packed, scales, weight.group / blockWeights, type, factor);
  }
  const codes = unpackCodes(packed, weight.bits);
  const zeroPoints = weight.zeroPoints === undefined ? undefined : await readTensorBytes(weight.zeroPoints);
  const { bytes } = ggmlTypes[type];
  const blocks = new Uint8Array((codes.length / blockWeights) * bytes);
  const perScale = weight.group / blockWeights;
  // Codes relative to zero, moved to where the type has its zero.
  const middle = type === 'Q4_0' ? 8 : 0;
  const header = type === 'Q4_1' ? 4 : 2;
  for (let block = 0, start = 0, at = 0; start < codes.length; block += 1, start += blockWeights, at += bytes) {
    const inGroup = Math.floor(block / perScale);
    const scale = scales[inGroup]! * factor;
    const zero = zeroPoints?.[inGroup] ?? 2 ** (weight.bits - 1);
    writeHalf(blocks, at, scale);
    if (type === 'Q4_1') {
      writeHalf(blocks, at + 2, -zero * scale);
    }
    const shift = type === 'Q4_1' ? 0 : middle - zero;
    if (type === 'Q8_0') {
      for (let inBlock = 0; inBlock < blockWeights; inBlock += 1) {
        const code = codes[start + inBlock]! + shift;
        if (code < -128 || code > 127) {
          throw outside(weight, type);
        }
        blocks[at + header + inBlock] = code;
      }
      continue;
    }
    for (let inBlock = 0; inBlock < blockWeights / 2; inBlock += 1) {
      const low = codes[start + inBlock]! + shift;
      const high = codes[start + inBlock + blockWeights / 2]! + shift;
      if ((low | high) & ~15) {
        throw outside(weight, type);
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
  const { bytes } = ggmlTypes[type];
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

function outside(weight: BlockQuantizedWeight, type: CodeType): TunerError {
  return new TunerError('internal', `A code of ${weight.codes.name} does not fit into ${type}.`);
}

/**
 * MXFP4 rows as blocks of the type MXFP4: the shared exponent, then 16 bytes; of each, the low four bits are a code of the first half of
 * the block (`block_mxfp4` of ggml-common.h). Checkpoints keep neighbouring codes in one byte.
 */
export async function mxfp4Blocks(weight: Extract<WeightSource, { storage: 'mxfp4' }>): Promise<Uint8Array> {
  const codes = await readTensorBytes(weight.blocks);
  const scales = await readTensorBytes(weight.scales);
  const { bytes } = ggmlTypes.MXFP4;
  const blocks = new Uint8Array(scales.length * bytes);
  for (let block = 0; block < scales.length; block += 1) {
    const [from, to] = [block * 16, block * bytes];
    blocks[to] = scales[block]!;
    for (let pair = 0; pair < 8; pair += 1) {
      const first = codes[from + pair]!;
      const second = codes[from + pair + 8]!;
      blocks[to + 1 + 2 * pair] = (first & 15) | ((second & 15) << 4);
      blocks[to + 2 + 2 * pair] = (first >> 4) | (second & 0xf0);
    }
  }
  return blocks;
}
