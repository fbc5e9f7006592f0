import { toFloat16Bits } from '../../numeric/halfPrecision';
import { TunerError } from '../../protocol/errors';
import { ggmlTypes } from './ggmlTypes';

/** Weights of a block of the types Q4_0, Q4_1 and Q8_0, which share a float16 scale, in Q4_1 an offset as well. */
export const blockWeights = 32;

/** Block types that weights are rounded to here. */
export type BlockType = 'Q4_0' | 'Q4_1' | 'Q8_0';

/**
 * Rounds rows of weights to blocks as ggml's reference does (`quantize_row_q4_0_ref`, `quantize_row_q4_1_ref`,
 * `quantize_row_q8_0_ref` in ggml-quants.c), in float32 at every step. Q4_0 scales by the weight of largest size with its sign, so
 * that it becomes -8; Q4_1 spans the smallest to the largest; Q8_0 scales by the largest size over 127, halves away from zero.
 * @param values row-major, rows a multiple of 32 long
 * @returns blocks in order
 */
export function quantizeBlocks(values: Float32Array, type: BlockType): Uint8Array {
  if (values.length % blockWeights !== 0) {
    throw new TunerError('internal', `${values.length} weights are no whole blocks of ${blockWeights}.`);
  }
  const { bytes } = ggmlTypes[type];
  const blocks = new Uint8Array((values.length / blockWeights) * bytes);
  const encode = encoders[type];
  for (let start = 0, at = 0; start < values.length; start += blockWeights, at += bytes) {
    encode(values, start, blocks, at);
  }
  return blocks;
}

type BlockEncoder = (values: Float32Array, start: number, blocks: Uint8Array, at: number) => void;

const encoders: Readonly<Record<BlockType, BlockEncoder>> = {
  Q4_0(values, start, blocks, at) {
    let extreme = 0;
    for (let position = start; position < start + blockWeights; position += 1) {
      const value = values[position]!;
      extreme = Math.abs(value) > Math.abs(extreme) ? value : extreme;
    }
    const scale = Math.fround(extreme / -8);
    writeHalf(blocks, at, scale);
    writeNibbles(values, start, blocks, at + 2, inverseOf(scale), 0, 8.5);
  },
  Q4_1(values, start, blocks, at) {
    let least = Infinity;
    let most = -Infinity;
    for (let position = start; position < start + blockWeights; position += 1) {
      const value = values[position]!;
      least = value < least ? value : least;
      most = value > most ? value : most;
    }
    const scale = Math.fround(Math.fround(most - least) / 15);
    writeHalf(blocks, at, scale);
    writeHalf(blocks, at + 2, least);
    writeNibbles(values, start, blocks, at + 4, inverseOf(scale), least, 0.5);
  },
  Q8_0(values, start, blocks, at) {
    let largest = 0;
    for (let position = start; position < start + blockWeights; position += 1) {
      const size = Math.abs(values[position]!);
      largest = size > largest ? size : largest;
    }
    const scale = Math.fround(largest / 127);
    const inverse = inverseOf(scale);
    writeHalf(blocks, at, scale);
    for (let inBlock = 0; inBlock < blockWeights; inBlock += 1) {
      const scaled = Math.fround(values[start + inBlock]! * inverse);
      blocks[at + 2 + inBlock] = scaled < 0 ? -Math.floor(0.5 - scaled) : Math.floor(scaled + 0.5);
    }
  },
};

/** Codes of 4 bits: those of the first half of the block in the low bits of its bytes. */
function writeNibbles(
  values: Float32Array,
  start: number,
  blocks: Uint8Array,
  at: number,
  inverse: number,
  offset: number,
  shift: number,
): void {
  const half = blockWeights / 2;
  for (let inBlock = 0; inBlock < half; inBlock += 1) {
    const low = nibble(values[start + inBlock]!, inverse, offset, shift);
    const high = nibble(values[start + inBlock + half]!, inverse, offset, shift);
    blocks[at + inBlock] = low | (high << 4);
  }
}

function nibble(value: number, inverse: number, offset: number, shift: number): number {
  const scaled = Math.fround(Math.fround(value - offset) * inverse);
  return Math.min(15, Math.trunc(Math.fround(scaled + shift)));
}

function inverseOf(scale: number): number {
  return scale === 0 ? 0 : Math.fround(1 / scale);
}

/** A float16, low byte first. */
function writeHalf(blocks: Uint8Array, at: number, value: number): void {
  const pattern = toFloat16Bits(value);
  blocks[at] = pattern & 0xff;
  blocks[at + 1] = pattern >>> 8;
}
