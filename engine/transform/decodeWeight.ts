import { readTensorBytes, readTensorFloat32 } from '../checkpoint/readTensor';
import type { BlockQuantizedWeight, WeightSource } from '../families/specification';

/** The 16 values of the MXFP4 (E2M1) code, sign in the top bit. OCP Microscaling Formats v1.0, §5.3.3. */
const mxfp4Values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** Bias of the E8M0 scale exponent; 255 stands for NaN. OCP Microscaling Formats v1.0, §5.4.1. */
const mxfp4ScaleBias = 127;

/**
 * A weight matrix as float32 in the order it is stored in, whatever its storage: the numbers that graphs compute with.
 * @throws TunerError `fileNotFound`, `malformedSafetensors`, `outOfMemory`
 */
export async function decodeStoredWeight(weight: WeightSource): Promise<Float32Array> {
  switch (weight.storage) {
    case 'plain':
      return readTensorFloat32(weight.entry);
    case 'fp8-block':
      return decodeFp8Block(weight);
    case 'mxfp4':
      return decodeMxfp4(weight);
    case 'block-quantized':
      return decodeBlockQuantized(weight);
  }
}

async function decodeFp8Block(weight: Extract<WeightSource, { storage: 'fp8-block' }>): Promise<Float32Array> {
  const [rows, columns] = weight.entry.shape as [number, number];
  const [blockRows, blockColumns] = weight.block;
  const scaleColumns = Math.ceil(columns / blockColumns);
  const scales = await readTensorFloat32(weight.scale);
  const values = await readTensorFloat32(weight.entry);
  for (let row = 0; row < rows; row += 1) {
    const scaleRow = Math.floor(row / blockRows) * scaleColumns;
    for (let column = 0; column < columns; column += 1) {
      values[row * columns + column]! *= scales[scaleRow + Math.floor(column / blockColumns)]!;
    }
  }
  return values;
}

/** Each byte holds two codes, the low nibble first. */
async function decodeMxfp4(weight: Extract<WeightSource, { storage: 'mxfp4' }>): Promise<Float32Array> {
  const blocks = await readTensorBytes(weight.blocks);
  const scales = await readTensorBytes(weight.scales);
  const bytesPerScale = blocks.length / scales.length;
  const values = new Float32Array(blocks.length * 2);
  for (const [block, exponent] of scales.entries()) {
    const scale = exponent === 255 ? NaN : 2 ** (exponent - mxfp4ScaleBias);
    for (let at = block * bytesPerScale; at < (block + 1) * bytesPerScale; at += 1) {
      const byte = blocks[at]!;
      values[2 * at] = mxfp4Values[byte & 15]! * scale;
      values[2 * at + 1] = mxfp4Values[byte >> 4]! * scale;
    }
  }
  return values;
}

async function decodeBlockQuantized(weight: BlockQuantizedWeight): Promise<Float32Array> {
  const { bits, group, rows, columns } = weight;
  const codes = await readTensorBytes(weight.codes);
  const scales = await readTensorFloat32(weight.scales);
  const zeroPoints = weight.zeroPoints === undefined ? undefined : await readTensorBytes(weight.zeroPoints);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const values = new Float32Array(rows * columns);
  for (let at = 0; at < values.length; at += 1) {
    const inGroup = Math.floor(at / group);
    const code = (codes[Math.floor(at / perByte)]! >> (bits * (at % perByte))) & mask;
    values[at] = (code - (zeroPoints?.[inGroup] ?? 2 ** (bits - 1))) * scales[inGroup]!;
  }
  return values;
}
