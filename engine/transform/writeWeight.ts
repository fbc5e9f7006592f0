import { toFloat32 } from '../checkpoint/convertDtype';
import { fromFloat32, type FloatDtype } from '../checkpoint/encodeDtype';
import type { Dtype, TensorEntry } from '../checkpoint/types';
import type { FeedForwardSpec, LinearSpec, WeightSource } from '../families/specification';
import { encodeFp8Blocks, type Fp8Dtype } from './encodeFp8';
import { transpose, type FeedForwardWeights } from './readWeight';
import type { ScratchWeights } from './scratchWeights';

/** Dtype that computed weights keep: that of the stored weight, or bfloat16 where codes cannot hold them. */
export function computedDtype(weight: WeightSource): FloatDtype {
  return weight.storage === 'plain' ? floatDtype(weight.entry.dtype) : 'BF16';
}

/** The float dtype that a stored dtype is computed in: itself where it is one, else bfloat16. */
export function floatDtype(dtype: Dtype): FloatDtype {
  return dtype === 'F16' || dtype === 'F32' ? dtype : 'BF16';
}

/**
 * Computed weights as a network of the same layout, arrangement, orientation and storage as another one, so that exporters find its
 * bytes in the order of the checkpoint. Biases keep their own dtype. The width may differ.
 * @param name of the network, for messages
 * @param dtype stores plain matrices of this dtype, whatever the storage of the other network
 * @throws TunerError `writeFailed`
 */
export async function writeFeedForward(
  scratch: ScratchWeights,
  name: string,
  weights: FeedForwardWeights,
  like: FeedForwardSpec,
  dtype?: FloatDtype,
): Promise<FeedForwardSpec> {
  const { hiddenSize, width, gate, up, down, gateBias, upBias, downBias } = weights;
  const write = (
    part: string,
    values: Float32Array,
    size: readonly [number, number],
    linear: LinearSpec,
    bias: Float32Array | undefined,
  ) =>
    dtype === undefined
      ? writeLinearLike(scratch, `${name}.${part}`, values, size, linear, bias)
      : writeLinear(scratch, `${name}.${part}`, values, size, linear, dtype, bias);
  const downLinear = await write('down', down, [hiddenSize, width], like.down, downBias);
  if (like.layout === 'fused-gated') {
    const both = joinRows(gate!, up, hiddenSize, like.arrangement);
    const bias =
      gateBias === undefined || upBias === undefined ? undefined : joinRows(gateBias, upBias, 1, like.arrangement);
    const gateUp = await write('gate_up', both, [2 * width, hiddenSize], like.gateUp, bias);
    return { ...like, gateUp, down: downLinear };
  }
  const upLinear = await write('up', up, [width, hiddenSize], like.up, upBias);
  if (like.layout === 'ungated') {
    return { ...like, up: upLinear, down: downLinear };
  }
  const gateLinear = await write('gate', gate!, [width, hiddenSize], like.gate, gateBias);
  return { ...like, gate: gateLinear, up: upLinear, down: downLinear };
}

/**
 * One computed matrix `[out, in]` in orientation and storage of another map: FP8 codes with block scales where that has them, so that
 * what runs is what can be exported; else as {@link writeLinear} in {@link computedDtype}.
 * @throws TunerError `writeFailed`
 */
export async function writeLinearLike(
  scratch: ScratchWeights,
  name: string,
  values: Float32Array,
  size: readonly [number, number],
  like: LinearSpec,
  biasValues?: Float32Array,
): Promise<LinearSpec> {
  const { weight } = like;
  if (weight.storage !== 'fp8-block') {
    return writeLinear(scratch, name, values, size, like, computedDtype(weight), biasValues);
  }
  const { shape, stored } = inOrientation(values, size, like);
  const scaleDtype = floatDtype(weight.scale.dtype);
  const { codes, scales } = encodeFp8Blocks(stored, shape[1], weight.block, weight.entry.dtype as Fp8Dtype, (scale) =>
    rounded(scaleDtype, scale),
  );
  const scaleShape = shape.map((length, axis) => Math.ceil(length / weight.block[axis as 0 | 1]));
  const entry = await scratch.write(`${name}.weight`, weight.entry.dtype, shape, codes);
  const scale = await scratch.write(`${name}.scale`, scaleDtype, scaleShape, fromFloat32(scaleDtype, scales));
  const bias = biasValues === undefined ? undefined : await writeBias(scratch, name, biasValues, like.bias);
  const [outputSize, inputSize] = size;
  return { weight: { ...weight, entry, scale }, orientation: like.orientation, inputSize, outputSize, bias };
}

function rounded(dtype: FloatDtype, value: number): number {
  return toFloat32(dtype, fromFloat32(dtype, Float32Array.of(value)))[0]!;
}

/** One computed matrix `[out, in]` as a plain linear map in the orientation of another one. @throws TunerError `writeFailed` */
export async function writeLinear(
  scratch: ScratchWeights,
  name: string,
  values: Float32Array,
  size: readonly [number, number],
  like: LinearSpec,
  dtype: FloatDtype,
  biasValues?: Float32Array,
): Promise<LinearSpec> {
  const { shape, stored } = inOrientation(values, size, like);
  const entry = await scratch.write(`${name}.weight`, dtype, shape, fromFloat32(dtype, stored));
  const bias = biasValues === undefined ? undefined : await writeBias(scratch, name, biasValues, like.bias);
  const [outputSize, inputSize] = size;
  return { weight: { storage: 'plain', entry }, orientation: like.orientation, inputSize, outputSize, bias };
}

function inOrientation(
  values: Float32Array,
  [outputSize, inputSize]: readonly [number, number],
  { orientation }: LinearSpec,
): { readonly shape: readonly [number, number]; readonly stored: Float32Array } {
  return orientation === 'output-major'
    ? { shape: [outputSize, inputSize], stored: values }
    : { shape: [inputSize, outputSize], stored: transpose(values, outputSize, inputSize) };
}

function writeBias(
  scratch: ScratchWeights,
  name: string,
  values: Float32Array,
  like: TensorEntry | undefined,
): Promise<TensorEntry> {
  const dtype = like === undefined ? 'F32' : floatDtype(like.dtype);
  return scratch.write(`${name}.bias`, dtype, [values.length], fromFloat32(dtype, values));
}

/** The inverse of taking a fused matrix apart: `[2 · width, columns]`. */
function joinRows(
  gate: Float32Array,
  up: Float32Array,
  columns: number,
  arrangement: 'concatenated' | 'interleaved',
): Float32Array {
  const both = new Float32Array(gate.length + up.length);
  if (arrangement === 'concatenated') {
    both.set(gate);
    both.set(up, gate.length);
    return both;
  }
  for (let row = 0; row < gate.length / columns; row += 1) {
    both.set(gate.subarray(row * columns, (row + 1) * columns), 2 * row * columns);
    both.set(up.subarray(row * columns, (row + 1) * columns), (2 * row + 1) * columns);
  }
  return both;
}
