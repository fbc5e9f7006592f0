import { fromFloat32, type FloatDtype } from '../checkpoint/encodeDtype';
import type { Dtype, TensorEntry } from '../checkpoint/types';
import type { FeedForwardSpec, LinearSpec, WeightSource } from '../families/specification';
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
 * Computed weights as a network of the same layout, arrangement and orientation as another one, so that exporters find its bytes
 * in the order of the checkpoint. Biases keep their own dtype. The width may differ.
 * @param name of the network, for messages
 * @throws TunerError `writeFailed`
 */
export async function writeFeedForward(
  scratch: ScratchWeights,
  name: string,
  weights: FeedForwardWeights,
  like: FeedForwardSpec,
  dtype: FloatDtype = computedDtype(like.down.weight),
): Promise<FeedForwardSpec> {
  const { hiddenSize, width, gate, up, down, gateBias, upBias, downBias } = weights;
  const downLinear = await writeLinear(scratch, `${name}.down`, down, [hiddenSize, width], like.down, dtype, downBias);
  const rows = [width, hiddenSize] as const;
  if (like.layout === 'fused-gated') {
    const both = joinRows(gate!, up, hiddenSize, like.arrangement);
    const bias =
      gateBias === undefined || upBias === undefined ? undefined : joinRows(gateBias, upBias, 1, like.arrangement);
    const gateUp = await writeLinear(
      scratch,
      `${name}.gate_up`,
      both,
      [2 * width, hiddenSize],
      like.gateUp,
      dtype,
      bias,
    );
    return { ...like, gateUp, down: downLinear };
  }
  const upLinear = await writeLinear(scratch, `${name}.up`, up, rows, like.up, dtype, upBias);
  if (like.layout === 'ungated') {
    return { ...like, up: upLinear, down: downLinear };
  }
  const gateLinear = await writeLinear(scratch, `${name}.gate`, gate!, rows, like.gate, dtype, gateBias);
  return { ...like, gate: gateLinear, up: upLinear, down: downLinear };
}

/** One computed matrix `[out, in]` as a linear map in the orientation of another one. @throws TunerError `writeFailed` */
export async function writeLinear(
  scratch: ScratchWeights,
  name: string,
  values: Float32Array,
  [outputSize, inputSize]: readonly [number, number],
  like: LinearSpec,
  dtype: FloatDtype,
  biasValues?: Float32Array,
): Promise<LinearSpec> {
  const outputMajor = like.orientation === 'output-major';
  const shape = outputMajor ? [outputSize, inputSize] : [inputSize, outputSize];
  const stored = outputMajor ? values : transpose(values, outputSize, inputSize);
  const entry = await scratch.write(`${name}.weight`, dtype, shape, fromFloat32(dtype, stored));
  const bias = biasValues === undefined ? undefined : await writeBias(scratch, name, biasValues, like.bias);
  return { weight: { storage: 'plain', entry }, orientation: like.orientation, inputSize, outputSize, bias };
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
