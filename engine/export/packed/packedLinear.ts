import { fromFloat32 } from '../../checkpoint/encodeDtype';
import { readTensorBytes, readTensorFloat32 } from '../../checkpoint/readTensor';
import type { TensorEntry } from '../../checkpoint/types';
import type { BlockQuantizedWeight } from '../../families/specification';
import { unpackCodes } from '../../methods/quantize/packCodes';
import { RoundedParts } from '../../transform/rounding/roundedParts';
import { roundedPieces, storedPiece, type RewrittenTensor, type TensorPiece } from '../../transform/tensorRewrite';
import { codesPerWord, packColumns, packRows } from '../../methods/quantize/int32Packing';

/** A rounded matrix and the bits its codes use; codes of 3 bits are held in 4. */
export interface RoundedWeight {
  readonly weight: BlockQuantizedWeight;
  readonly bits: number;
  readonly symmetric: boolean;
}

/**
 * The tensors that take the place of `X.weight` in the format `pack-quantized` of compressed-tensors: `X.weight_packed` int32
 * `[out, in · bits / 32]`, `X.weight_scale` `[out, in / group]`, `X.weight_shape` int64 `[2]`, and for asymmetric codes
 * `X.weight_zero_point` int32 `[out · bits / 32, in / group]`. The format stores signed codes plus 2^(bits-1), which is what the
 * unsigned codes here are.
 *
 * @param name of the written weight, ending in `.weight`
 * @param original the tensor whose file they go to
 */
export function packedTensors(name: string, original: TensorEntry, rounded: RoundedWeight): RewrittenTensor[] {
  return rounded.weight.rounding === undefined
    ? tensorsFromFiles(name, original, rounded)
    : tensorsWhenWritten(name, original, rounded);
}

/** All of them come from one rounding of the weight, while it is written. */
function tensorsWhenWritten(name: string, original: TensorEntry, rounded: RoundedWeight): RewrittenTensor[] {
  const { weight, bits, symmetric } = rounded;
  const { rows, columns, group } = weight;
  const words = Math.ceil(columns / codesPerWord(bits));
  // Rows of whole words hold the same bits as codes packed low bits first.
  const whole = bits === weight.bits && columns % codesPerWord(bits) === 0;
  const parts = new RoundedParts(weight, [
    whole ? { form: 'codes' } : { form: 'codeWords', bits },
    { form: 'scales', dtype: 'F16' },
    ...(symmetric ? [] : [{ form: 'zeroPointWords' as const, bits }]),
  ]);
  const [codes, scales, zeros] = roundedPieces(parts);
  const zeroRows = Math.ceil(rows / codesPerWord(bits));
  const tensor = (
    part: string,
    dtype: RewrittenTensor['dtype'],
    shape: readonly number[],
    piece: TensorPiece,
  ): RewrittenTensor => ({ name: `${name}_${part}`, dtype, shape, original, pieces: [piece] });
  return [
    tensor('packed', 'I32', [rows, words], codes!),
    tensor('scale', 'F16', [rows, columns / group], scales!),
    shapeTensor(name, original, rows, columns),
    ...(zeros === undefined ? [] : [tensor('zero_point', 'I32', [zeroRows, columns / group], zeros)]),
  ];
}

function shapeTensor(name: string, original: TensorEntry, rows: number, columns: number): RewrittenTensor {
  const make = () => Promise.resolve(new Uint8Array(BigInt64Array.of(BigInt(rows), BigInt(columns)).buffer));
  return { name: `${name}_shape`, dtype: 'I64', shape: [2], original, pieces: [computed(16, make)] };
}

function tensorsFromFiles(name: string, original: TensorEntry, rounded: RoundedWeight): RewrittenTensor[] {
  const { weight, bits, symmetric } = rounded;
  const { rows, columns, group } = weight;
  const groups = columns / group;
  const words = Math.ceil(columns / codesPerWord(bits));
  const tensor = (
    part: string,
    dtype: RewrittenTensor['dtype'],
    shape: readonly number[],
    byteLength: number,
    make: () => Promise<Uint8Array>,
  ): RewrittenTensor => ({ name: `${name}_${part}`, dtype, shape, original, pieces: [computed(byteLength, make)] });
  const packedCodes = (): RewrittenTensor => {
    // Rows of whole words hold the same bits as codes packed low bits first.
    if (bits === weight.bits && columns % codesPerWord(bits) === 0) {
      const pieces = [storedPiece(weight.codes)];
      return { name: `${name}_packed`, dtype: 'I32', shape: [rows, words], original, pieces };
    }
    return tensor('packed', 'I32', [rows, words], 4 * rows * words, async () =>
      packRows(unpackCodes(await readTensorBytes(weight.codes), weight.bits), rows, columns, bits),
    );
  };
  const tensors = [
    packedCodes(),
    tensor('scale', 'F16', [rows, groups], 2 * rows * groups, async () =>
      fromFloat32('F16', await readTensorFloat32(weight.scales)),
    ),
    shapeTensor(name, original, rows, columns),
  ];
  if (symmetric || weight.zeroPoints === undefined) {
    return tensors;
  }
  const { zeroPoints } = weight;
  const zeroRows = Math.ceil(rows / codesPerWord(bits));
  const zeros = tensor('zero_point', 'I32', [zeroRows, groups], 4 * zeroRows * groups, async () =>
    packColumns(await readTensorBytes(zeroPoints), rows, groups, bits),
  );
  return [...tensors, zeros];
}

function computed(byteLength: number, make: () => Promise<Uint8Array>): TensorPiece {
  return {
    kind: 'computed',
    byteLength,
    async *produce() {
      yield await make();
    },
  };
}
