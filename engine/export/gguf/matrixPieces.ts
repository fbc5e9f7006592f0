import { fromFloat32 } from '../../checkpoint/encodeDtype';
import { readTensorBytes, readTensorFloat32 } from '../../checkpoint/readTensor';
import type { TensorEntry } from '../../checkpoint/types';
import type { LinearSpec } from '../../families/specification';
import { TunerError } from '../../protocol/errors';
import { collectRounded } from '../../transform/rounding/collectRounded';
import { RoundedParts } from '../../transform/rounding/roundedParts';
import { roundedPieces, storedPiece, type TensorPiece } from '../../transform/tensorRewrite';
import { linearValues } from '../../transform/weightValues';
import { quantizeBlocks } from './blockQuantization';
import { rowBytes, type GgmlType } from './ggmlTypes';
import { codeFit, mxfp4Blocks, storedBlocks } from './storedBlocks';
import { quantizeSuperBlocks } from './superBlocks';

/** A part of a linear map as one matrix of a GGUF file. */
export interface MatrixPart {
  readonly linear: LinearSpec;
  /** Rows of the output, in the order they are written; absent: all of them. */
  readonly rows?: Int32Array | undefined;
  /** Bits that the codes of a rounded weight use; absent: those they are stored in. */
  readonly bits?: number | undefined;
  /** Bits that the blocks of a weight should have that is not rounded yet; absent: it stays. */
  readonly wantedBits?: number | undefined;
  /** Multiplies all weights. */
  readonly factor?: number | undefined;
}

/** Safetensors dtypes that are types of ggml as they are. */
export const plainTypes: Readonly<Record<string, GgmlType>> = { F32: 'F32', F16: 'F16', BF16: 'BF16' };

/**
 * The bytes of a matrix `[rows, inputSize]`. What the checkpoint stores in that type already is copied, codes keep their values, and
 * everything else is read as float32 and rounded.
 */
export function matrixPieces(part: MatrixPart, type: GgmlType): TensorPiece[] {
  const { linear, rows, factor = 1 } = part;
  const { weight } = linear;
  const width = rowBytes(type, linear.inputSize);
  const count = rows?.length ?? linear.outputSize;
  if (weight.storage === 'plain' && plainTypes[weight.entry.dtype] === type && factor === 1) {
    if (linear.orientation === 'output-major' && isRange(rows)) {
      return [storedPiece(weight.entry, (rows?.[0] ?? 0) * width, count * width)];
    }
  }
  const rounded = rows === undefined ? roundedWhenWritten(part, type) : undefined;
  if (rounded !== undefined) {
    return roundedPieces(rounded);
  }
  return [computed(count * width, async () => gatherRows(await encodeMatrix(part, type), rows, width))];
}

/** Codes that no file has, where they come into blocks as they are. */
function roundedWhenWritten({ linear, bits, factor = 1 }: MatrixPart, type: GgmlType): RoundedParts | undefined {
  const { weight } = linear;
  if (weight.storage !== 'block-quantized' || weight.rounding === undefined) {
    return undefined;
  }
  return (type === 'Q4_0' || type === 'Q4_1' || type === 'Q8_0') &&
    codeFit(weight, bits ?? weight.bits, type) !== 'rounded again'
    ? new RoundedParts(weight, [{ form: 'blocks', type, factor }])
    : undefined;
}

async function encodeMatrix({ linear, bits, factor = 1 }: MatrixPart, type: GgmlType): Promise<Uint8Array> {
  const { weight, orientation } = linear;
  if (weight.storage === 'plain' && plainTypes[weight.entry.dtype] === type && orientation === 'output-major') {
    if (factor === 1) {
      return readTensorBytes(weight.entry);
    }
  }
  if (weight.storage === 'mxfp4' && type === 'MXFP4' && factor === 1 && orientation === 'output-major') {
    return mxfp4Blocks(weight);
  }
  const rounded = roundedWhenWritten({ linear, bits, factor }, type);
  if (rounded !== undefined) {
    return collectRounded(rounded);
  }
  if (weight.storage === 'block-quantized' && (type === 'Q4_0' || type === 'Q4_1' || type === 'Q8_0')) {
    if (codeFit(weight, bits ?? weight.bits, type) !== 'rounded again') {
      return storedBlocks(weight, type, factor);
    }
  }
  const values = await linearValues(linear).whole('output-major');
  return encodeValues(factor === 1 ? values : values.map((value) => value * factor), type);
}

/** @throws TunerError `internal` for types that float weights are not rounded to here */
function encodeValues(values: Float32Array, type: GgmlType): Uint8Array {
  switch (type) {
    case 'F32':
    case 'F16':
    case 'BF16':
      return fromFloat32(type, values);
    case 'Q4_0':
    case 'Q4_1':
    case 'Q5_0':
    case 'Q5_1':
    case 'Q8_0':
      return quantizeBlocks(values, type);
    case 'Q2_K':
    case 'Q3_K':
    case 'Q4_K':
    case 'Q5_K':
    case 'Q6_K':
      return quantizeSuperBlocks(values, type);
    case 'MXFP4':
      throw new TunerError('internal', 'Weights are not rounded to MXFP4 here.');
  }
}

/**
 * A tensor of few numbers as float32: norms, biases, routers.
 * @param take positions in the order they are written; absent: all
 * @param change of every number
 */
export function vectorPieces(
  entry: TensorEntry,
  take?: Int32Array,
  change: (value: number) => number = (value) => value,
): TensorPiece[] {
  const length = take?.length ?? entry.shape.reduce((product, size) => product * size, 1);
  return [
    computed(4 * length, async () => {
      const values = await readTensorFloat32(entry);
      return fromFloat32(
        'F32',
        Float32Array.from({ length }, (_, at) => change(values[take?.[at] ?? at]!)),
      );
    }),
  ];
}

export function computed(byteLength: number, make: () => Promise<Uint8Array>): TensorPiece {
  return {
    kind: 'computed',
    byteLength,
    async *produce() {
      yield await make();
    },
  };
}

function isRange(rows: Int32Array | undefined): boolean {
  return rows === undefined || rows.every((row, at) => row === rows[0]! + at);
}

function gatherRows(bytes: Uint8Array, rows: Int32Array | undefined, width: number): Uint8Array {
  if (rows === undefined) {
    return bytes;
  }
  const gathered = new Uint8Array(rows.length * width);
  for (let at = 0; at < rows.length; at += 1) {
    const from = rows[at]! * width;
    gathered.set(bytes.subarray(from, from + width), at * width);
  }
  return gathered;
}
