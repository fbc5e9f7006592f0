import { toFloat16Bits } from '../../numeric/halfPrecision';
import { TunerError } from '../../protocol/errors';
import { ggmlTypes } from './ggmlTypes';

/** Weights of a block of these types, which share a float16 scale, in Q4_1 and Q5_1 an offset as well. */
export const blockWeights = 32;

/** Block types that weights are rounded to here. */
export type BlockType = 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0';

/**
 * Rounds rows of weights to blocks as ggml's reference does (`quantize_row_q4_0_ref` to `quantize_row_q8_0_ref` in ggml-quants.c), in
 * float32 at every step. Q4_0 and Q5_0 scale by the weight of largest size with its sign, so that it becomes -8 or -16; Q4_1 and Q5_1
 * span the smallest to the largest; Q8_0 scales by the largest size over 127, halves away from zero.
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
    const scale = Math.fround(extremeOf(values, start) / -8);
    writeHalf(blocks, at, scale);
    writeCodes(values, start, blocks, at + 2, { inverse: inverseOf(scale), offset: 0, shift: 8.5, top: 15 });
  },
  Q4_1(values, start, blocks, at) {
    const { scale, least } = spanOf(values, start, 15);
    writeHalf(blocks, at, scale);
    writeHalf(blocks, at + 2, least);
    writeCodes(values, start, blocks, at + 4, { inverse: inverseOf(scale), offset: least, shift: 0.5, top: 15 });
  },
  Q5_0(values, start, blocks, at) {
    const scale = Math.fround(extremeOf(values, start) / -16);
    writeHalf(blocks, at, scale);
    writeCodes(values, start, blocks, at + 2, { inverse: inverseOf(scale), offset: 0, shift: 16.5, top: 31 });
  },
  Q5_1(values, start, blocks, at) {
    const { scale, least } = spanOf(values, start, 31);
    writeHalf(blocks, at, scale);
    writeHalf(blocks, at + 2, least);
    writeCodes(values, start, blocks, at + 4, { inverse: inverseOf(scale), offset: least, shift: 0.5, top: 31 });
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

/** The weight of largest size. */
function extremeOf(values: Float32Array, start: number): number {
  let extreme = 0;
  for (let position = start; position < start + blockWeights; position += 1) {
    const value = values[position]!;
    extreme = Math.abs(value) > Math.abs(extreme) ? value : extreme;
  }
  return extreme;
}

/** The smallest weight, and the step from it to the largest. */
function spanOf(values: Float32Array, start: number, top: number): { readonly scale: number; readonly least: number } {
  let least = Infinity;
  let most = -Infinity;
  for (let position = start; position < start + blockWeights; position += 1) {
    const value = values[position]!;
    least = value < least ? value : least;
    most = value > most ? value : most;
  }
  return { scale: Math.fround(Math.fround(most - least) / top), least };
}

interface CodeSteps {
  readonly inverse: number;
  readonly offset: number;
  readonly shift: number;
  readonly top: 15 | 31;
}

/**
 * Codes of 4 or 5 bits: in the low four bits of bytes those of the first half of the block. The fifth bits of all come before, bit by
 * bit in the order of the block.
 */
function writeCodes(values: Float32Array, start: number, blocks: Uint8Array, at: number, steps: CodeSteps): void {
  const half = blockWeights / 2;
  const nibbles = steps.top === 31 ? at + blockWeights / 8 : at;
  for (let inBlock = 0; inBlock < half; inBlock += 1) {
    const low = codeOf(values[start + inBlock]!, steps);
    const high = codeOf(values[start + inBlock + half]!, steps);
    blocks[nibbles + inBlock] = (low & 15) | ((high & 15) << 4);
    if (steps.top === 31) {
      blocks[at + (inBlock >> 3)]! |= (low >> 4) << (inBlock & 7);
      blocks[at + 2 + (inBlock >> 3)]! |= (high >> 4) << (inBlock & 7);
    }
  }
}

function codeOf(value: number, { inverse, offset, shift, top }: CodeSteps): number {
  const scaled = Math.fround(Math.fround(value - offset) * inverse);
  return Math.min(top, Math.trunc(Math.fround(scaled + shift)));
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
