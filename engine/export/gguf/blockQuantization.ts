import type { QuantizedMatrix } from '../../methods/quantize/quantizedMatrix';
import { toFloat16Bits } from '../../numeric/halfPrecision';
import { TunerError } from '../../protocol/errors';

/** Weights of a block of the GGUF types Q4_0 and Q8_0, which share one float16 scale. */
export const blockWeights = 32;

/** Block types that are written here: bytes of a block are two of the scale and the codes. */
export const blockTypes = {
  q4_0: { bits: 4, bytes: 18 },
  q8_0: { bits: 8, bytes: 34 },
} as const;

export type BlockType = keyof typeof blockTypes;

/**
 * Rounds rows of weights to blocks as ggml's reference does (`quantize_row_q4_0_ref`, `quantize_row_q8_0_ref` in ggml-quants.c), in
 * float32 at every step. Q4_0 scales by the weight of largest size with its sign, so that it becomes -8; Q8_0 by its size over
 * 127, halves away from zero.
 * @param values row-major, rows a multiple of 32 long
 * @returns blocks in order
 */
export function quantizeBlocks(values: Float32Array, type: BlockType): Uint8Array {
  assertWholeBlocks(values.length);
  const { bytes } = blockTypes[type];
  const blocks = new Uint8Array((values.length / blockWeights) * bytes);
  const codes = new Uint8Array(blockWeights);
  for (let start = 0, at = 0; start < values.length; start += blockWeights, at += bytes) {
    const block = values.subarray(start, start + blockWeights);
    const scale = type === 'q4_0' ? encodeFourBits(block, codes) : encodeEightBits(block, codes);
    writeBlock(blocks, at, scale, codes, type);
  }
  return blocks;
}

/**
 * The same codes and scales in the form of blocks: nothing is rounded again.
 * @param matrix centred codes of 4 or 8 bits in groups of 32, with scales that are float16 numbers
 * @throws TunerError `internal` for other formats
 */
export function packBlocks(matrix: QuantizedMatrix): Uint8Array {
  const { bits, group, symmetric, columns, codes, scales } = matrix;
  if (group !== blockWeights || !symmetric || (bits !== 4 && bits !== 8)) {
    throw new TunerError('internal', `Codes of ${bits} bits in groups of ${group} are no blocks of a GGUF file.`);
  }
  assertWholeBlocks(columns);
  const type = bits === 4 ? 'q4_0' : 'q8_0';
  const { bytes } = blockTypes[type];
  const blocks = new Uint8Array(scales.length * bytes);
  const block = new Uint8Array(blockWeights);
  for (const [inGroup, scale] of scales.entries()) {
    const start = inGroup * blockWeights;
    for (let at = 0; at < blockWeights; at += 1) {
      // Bytes of Q8_0 are signed; both kinds of codes wrap around alike.
      block[at] = bits === 4 ? codes[start + at]! : codes[start + at]! - 128;
    }
    writeBlock(blocks, inGroup * bytes, scale, block, type);
  }
  return blocks;
}

function assertWholeBlocks(weights: number): void {
  if (weights % blockWeights !== 0) {
    throw new TunerError('internal', `${weights} weights are no whole blocks of ${blockWeights}.`);
  }
}

/** Scale, low byte first, then codes; of Q4_0 the first half of the block is in the low four bits. */
function writeBlock(blocks: Uint8Array, at: number, scale: number, codes: Uint8Array, type: BlockType): void {
  const pattern = toFloat16Bits(scale);
  blocks[at] = pattern & 0xff;
  blocks[at + 1] = pattern >>> 8;
  if (type === 'q8_0') {
    blocks.set(codes, at + 2);
    return;
  }
  const half = blockWeights / 2;
  for (let low = 0; low < half; low += 1) {
    blocks[at + 2 + low] = codes[low]! | (codes[low + half]! << 4);
  }
}

function encodeFourBits(values: Float32Array, codes: Uint8Array): number {
  let extreme = 0;
  for (const value of values) {
    extreme = Math.abs(value) > Math.abs(extreme) ? value : extreme;
  }
  const scale = Math.fround(extreme / -8);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (const [at, value] of values.entries()) {
    codes[at] = Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5)));
  }
  return scale;
}

function encodeEightBits(values: Float32Array, codes: Uint8Array): number {
  let largest = 0;
  for (const value of values) {
    largest = Math.max(largest, Math.abs(value));
  }
  const scale = Math.fround(largest / 127);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (const [at, value] of values.entries()) {
    const scaled = Math.fround(value * inverse);
    codes[at] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
  }
  return scale;
}
