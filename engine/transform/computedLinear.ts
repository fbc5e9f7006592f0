import { toFloat32 } from '../checkpoint/convertDtype';
import { fromFloat32, type FloatDtype } from '../checkpoint/encodeDtype';
import { readTensorFloat32 } from '../checkpoint/readTensor';
import type { Dtype, TensorEntry } from '../checkpoint/types';
import type { LinearSpec, WeightSource } from '../families/specification';
import { TunerError } from '../protocol/errors';
import { encodeFp8Blocks, type Fp8Blocks, type Fp8Dtype } from './encodeFp8';
import { RoundedParts } from './rounding/roundedParts';
import { roundedPieces, storedPiece, type TensorPiece } from './tensorRewrite';
import { linearValues, type WeightValues } from './weightValues';

/** Bytes that take the place of one entry of the checkpoint. */
export interface EntryReplacement {
  readonly entry: TensorEntry;
  readonly piece: TensorPiece;
}

/**
 * What has to be written where the checkpoint has a linear map, so that it becomes another one of the same size times a factor,
 * in the dtype and orientation of the checkpoint. Nothing where both are the same already.
 * @param slot the map as the checkpoint has it: place, dtype and orientation
 * @param source the map as the plan makes it
 * @throws TunerError `unsupportedFeature` where the storage of the checkpoint cannot hold computed weights
 */
export function replaceLinear(slot: LinearSpec, source: LinearSpec, factor: number): EntryReplacement[] {
  const { weight, bias } = slot;
  const sameWeight = weight === source.weight;
  const sameBias = bias === source.bias;
  return [
    ...(sameWeight && factor === 1
      ? []
      : sameWeight && weight.storage === 'fp8-block'
        ? scaledFp8(slot, weight, factor)
        : replaceWeight(slot, linearValues(source), factor)),
    ...(sameBias && (factor === 1 || bias === undefined) ? [] : replaceBias(slot, linearValues(source), factor)),
  ];
}

/** The same for values that are put together from several maps; errors as {@link replaceLinear}. */
export function replaceValues(slot: LinearSpec, source: WeightValues): EntryReplacement[] {
  const bias = slot.bias !== undefined || source.hasBias ? replaceBias(slot, source, 1) : [];
  return [...replaceWeight(slot, source, 1), ...bias];
}

function replaceWeight(slot: LinearSpec, source: WeightValues, factor: number): EntryReplacement[] {
  const { weight, orientation } = slot;
  if (slot.inputSize !== source.inputSize || slot.outputSize !== source.outputSize) {
    throw cannotStore(slot, 'The plan changes the size of a weight matrix', 'Make a plan that keeps the width.');
  }
  switch (weight.storage) {
    case 'plain': {
      const { entry } = weight;
      const dtype = floatDtype(slot, entry.dtype);
      const asStored = source.plain?.entry.dtype === dtype && source.plain.orientation === orientation && factor === 1;
      const encoded = async function* () {
        for await (const values of source.rows(orientation)) {
          yield fromFloat32(dtype, scaleBy(values, factor));
        }
      };
      if (source.rounded !== undefined && orientation === 'output-major') {
        const parts = new RoundedParts(source.rounded, [{ form: 'values', dtype, factor }]);
        return roundedPieces(parts).map((piece) => ({ entry, piece }));
      }
      return [{ entry, piece: asStored ? storedPiece(source.plain.entry) : computed(entry.byteLength, encoded) }];
    }
    case 'fp8-block':
      return encodedFp8(slot, weight, source, factor);
    case 'mxfp4':
    case 'block-quantized':
      throw cannotStore(
        slot,
        'The checkpoint stores its experts in 4 bits, which cannot hold computed weights',
        'Apply the plan to the BF16 checkpoint of the model, or make one that only prunes.',
      );
  }
}

type Fp8Weight = Extract<WeightSource, { storage: 'fp8-block' }>;

/** The factor goes into the scales alone: no code is rounded again. */
function scaledFp8(slot: LinearSpec, { scale }: Fp8Weight, factor: number): EntryReplacement[] {
  const dtype = floatDtype(slot, scale.dtype);
  const scaled = async function* () {
    yield fromFloat32(dtype, scaleBy(await readTensorFloat32(scale), factor));
  };
  return [{ entry: scale, piece: computed(scale.byteLength, scaled) }];
}

function encodedFp8(slot: LinearSpec, weight: Fp8Weight, source: WeightValues, factor: number): EntryReplacement[] {
  const { entry, scale, block } = weight;
  const scaleDtype = floatDtype(slot, scale.dtype);
  const encode = async () => {
    const values = scaleBy(await source.whole(slot.orientation), factor);
    const columns = slot.orientation === 'output-major' ? slot.inputSize : slot.outputSize;
    return encodeFp8Blocks(values, columns, block, entry.dtype as Fp8Dtype, (most) => roundTo(scaleDtype, most));
  };
  // Codes and scales lie in two tensors, so the matrix is rounded twice: that costs time, keeping it would cost memory.
  const part = (pick: (blocks: Fp8Blocks) => Uint8Array) =>
    async function* () {
      yield pick(await encode());
    };
  const scales = part((blocks) => fromFloat32(scaleDtype, blocks.scales));
  return [
    {
      entry,
      piece: computed(
        entry.byteLength,
        part(({ codes }) => codes),
      ),
    },
    { entry: scale, piece: computed(scale.byteLength, scales) },
  ];
}

function replaceBias(slot: LinearSpec, source: WeightValues, factor: number): EntryReplacement[] {
  const entry = slot.bias;
  if (entry === undefined) {
    throw cannotStore(slot, 'The plan gives a bias to a linear map without one', 'Choose another method.');
  }
  const dtype = floatDtype(slot, entry.dtype);
  const encoded = async function* () {
    yield fromFloat32(dtype, scaleBy(await source.bias(), factor));
  };
  return [{ entry, piece: computed(entry.byteLength, encoded) }];
}

function scaleBy(values: Float32Array, factor: number): Float32Array {
  return factor === 1 ? values : values.map((value) => value * factor);
}

function roundTo(dtype: FloatDtype, value: number): number {
  return toFloat32(dtype, fromFloat32(dtype, Float32Array.of(value)))[0]!;
}

function floatDtype(slot: LinearSpec, dtype: Dtype): FloatDtype {
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') {
    return dtype;
  }
  throw cannotStore(slot, `Computed weights cannot be stored as ${dtype}`, 'Apply the plan to the BF16 checkpoint.');
}

function computed(byteLength: number, produce: () => AsyncIterable<Uint8Array>): TensorPiece {
  return { kind: 'computed', byteLength, produce };
}

function cannotStore({ weight }: LinearSpec, reason: string, wayOut: string): TunerError {
  const { file, name } = weight.storage === 'mxfp4' ? weight.blocks : 'entry' in weight ? weight.entry : weight.codes;
  return new TunerError('unsupportedFeature', `${reason}.`, { file, place: name, wayOut });
}
