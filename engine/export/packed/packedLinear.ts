import { fromFloat32 } from '../../checkpoint/encodeDtype';
import { readTensorBytes, readTensorFloat32 } from '../../checkpoint/readTensor';
import type { TensorEntry } from '../../checkpoint/types';
import type { BlockQuantizedWeight } from '../../families/specification';
import { unpackCodes } from '../../methods/quantize/packCodes';
import { storedPiece, type RewrittenTensor, type TensorPiece } from '../../transform/tensorRewrite';
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
    tensor('shape', 'I64', [2], 16, () =>
      Promise.resolve(new Uint8Array(BigInt64Array.of(BigInt(rows), BigInt(columns)).buffer)),
    ),
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
