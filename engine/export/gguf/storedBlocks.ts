import { readTensorBytes, readTensorFloat32 } from '../../checkpoint/readTensor';
import type { BlockQuantizedWeight, WeightSource } from '../../families/specification';
import { codeBlocks, codeBlockWeights, type CodeType } from '../../methods/quantize/ggmlBlocks';
import { TunerError } from '../../protocol/errors';
import { ggmlTypes } from './ggmlTypes';

/**
 * How the codes of a rounded weight come into blocks: as they are; as they are, with offsets that float16 rounds; or only by rounding
 * the weights once more.
 */
export type CodeFit = 'exact' | 'rounded offsets' | 'rounded again';

/**
 * @param bits that the codes use, which may be fewer than they are stored in
 */
export function codeFit(weight: BlockQuantizedWeight, bits: number, type: CodeType): CodeFit {
  if (weight.group % codeBlockWeights !== 0) {
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
 * Rows of a rounded weight as blocks with the same codes and scales.
 * @param factor multiplies all weights, through their scales
 * @throws TunerError `internal` for a weight that {@link codeFit} calls unfit
 */
export async function storedBlocks(weight: BlockQuantizedWeight, type: CodeType, factor: number): Promise<Uint8Array> {
  const { bits, group, rows, columns } = weight;
  const packed = await readTensorBytes(weight.codes);
  const scales = await readTensorFloat32(weight.scales);
  const zeroPoints = weight.zeroPoints === undefined ? undefined : await readTensorBytes(weight.zeroPoints);
  try {
    return codeBlocks({ bits, group, rows, columns, packed, scales, zeroPoints }, type, factor);
  } catch (cause) {
    throw new TunerError('internal', `The codes of ${weight.codes.name} do not fit into ${type}.`, {}, { cause });
  }
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
