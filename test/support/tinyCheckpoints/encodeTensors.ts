import { randomValues, uniformSource, type TinyTensor } from './randomTensors';

/** A tensor as it goes into the file. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: 'BF16' | 'F32' | 'F8_E4M3' | 'U8';
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

/** Rows and columns of an FP8 block; `config.json` must say the same in `quantization_config.weight_block_size`. */
export const fp8Block = 32;

/** The stored form of one tensor: one entry, or values and scales. */
export function encodeTensor(tensor: TinyTensor, seed: number): StoredTensor[] {
  switch (tensor.storage ?? 'BF16') {
    case 'F32':
      return [{ name: tensor.name, dtype: 'F32', shape: tensor.shape, bytes: float32(randomValues(tensor, seed)) }];
    case 'BF16':
      return [{ name: tensor.name, dtype: 'BF16', shape: tensor.shape, bytes: bfloat16(randomValues(tensor, seed)) }];
    case 'FP8':
      return blockScaledFp8(tensor, seed);
    case 'MXFP4':
      return mxfp4(tensor, seed);
  }
}

function float32(values: Float64Array): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes;
}

/** Round to nearest, ties to even, on the upper half of the binary32 pattern. */
function bfloat16(values: Float64Array): Buffer {
  const view = new DataView(new ArrayBuffer(4));
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => {
    view.setFloat32(0, value);
    const bits = view.getUint32(0);
    bytes.writeUInt16LE(((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff, index * 2);
  });
  return bytes;
}

/** A matrix as E4M3 with one float32 factor for each block, the largest value of a block becoming 448. */
function blockScaledFp8(tensor: TinyTensor, seed: number): StoredTensor[] {
  const [height, width] = tensor.shape as [number, number];
  const values = randomValues(tensor, seed);
  const scaleShape = [Math.ceil(height / fp8Block), Math.ceil(width / fp8Block)] as const;
  const scales = new Float64Array(scaleShape[0] * scaleShape[1]);
  const blockOf = (at: number) =>
    Math.floor(Math.floor(at / width) / fp8Block) * scaleShape[1] + Math.floor((at % width) / fp8Block);
  values.forEach((value, at) => {
    scales[blockOf(at)] = Math.max(scales[blockOf(at)]!, Math.fround(Math.abs(value) / 448));
  });
  const bytes = Buffer.from(values.map((value, at) => nearestE4M3(value / scales[blockOf(at)]!)));
  return [
    { name: tensor.name, dtype: 'F8_E4M3', shape: tensor.shape, bytes },
    { name: `${tensor.name}_scale_inv`, dtype: 'F32', shape: scaleShape, bytes: float32(scales) },
  ];
}

/** The E4M3 pattern nearest to a value of at most 448 in size: 4 exponent bits with bias 7, 3 fraction bits. */
function nearestE4M3(value: number): number {
  const size = Math.min(Math.abs(value), 448);
  const exponent = Math.max(Math.floor(Math.log2(size)), -6);
  const steps = Math.round(size / 2 ** (exponent - 3));
  const magnitude = size < 2 ** -10 ? 0 : (exponent + 6) * 8 + steps;
  return (value < 0 ? 0x80 : 0) | magnitude;
}

/** Random 4-bit patterns `[E, rows, K / 32, 16]` and exponents `[E, rows, K / 32]` that make values of about 1 / √K. */
function mxfp4(tensor: TinyTensor, seed: number): StoredTensor[] {
  const [count, height, width] = tensor.shape as [number, number, number];
  const uniform = uniformSource(tensor.name, seed);
  const groups = count * height * (width / 32);
  const blocks = Buffer.from(Array.from({ length: groups * 16 }, () => Math.floor(uniform() * 256)));
  const exponent = Math.round(-Math.log2(Math.sqrt(width) * 3));
  const scales = Buffer.from(Array.from({ length: groups }, () => 127 + exponent + Math.floor(uniform() * 3) - 1));
  return [
    { name: `${tensor.name}_blocks`, dtype: 'U8', shape: [count, height, width / 32, 16], bytes: blocks },
    { name: `${tensor.name}_scales`, dtype: 'U8', shape: [count, height, width / 32], bytes: scales },
  ];
}
