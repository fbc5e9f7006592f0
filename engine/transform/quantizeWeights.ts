import { fromFloat32 } from '../checkpoint/encodeDtype';
import type { TensorEntry } from '../checkpoint/types';
import type { BlockQuantizedWeight, FeedForwardSpec, LinearSpec } from '../families/specification';
import { packCodes } from '../methods/quantize/packCodes';
import { storedWidths, type QuantizedMatrix } from '../methods/quantize/quantizedMatrix';
import type { RoundedExpert } from '../methods/quantize/quantizers';
import type { FeedForwardWeights } from './readWeight';
import type { ScratchWeights } from './scratchWeights';
import { computedDtype, writeLinear } from './writeWeight';

/**
 * A rounded matrix in temporary files. Codes of 3 bits are stored in 4, those of 5 and 6 in 8, with zero points that say so: graphs
 * read 2, 4 and 8 only.
 * @throws TunerError `writeFailed`
 */
export async function writeQuantized(
  scratch: ScratchWeights,
  name: string,
  matrix: QuantizedMatrix,
): Promise<BlockQuantizedWeight> {
  const { rows, columns, group, scales } = matrix;
  const bits = storedWidths[matrix.bits];
  const groups = columns / group;
  const codes = packCodes(matrix.codes, bits);
  const zeroPoints =
    matrix.zeroPoints ??
    (bits === matrix.bits ? undefined : new Uint8Array(scales.length).fill(2 ** (matrix.bits - 1)));
  return {
    storage: 'block-quantized',
    bits,
    group,
    rows,
    columns,
    codes: await scratch.write(`${name}.codes`, 'U8', [rows, groups, (group * bits) / 8], codes),
    scales: await scratch.write(`${name}.scales`, 'F32', [rows, groups], fromFloat32('F32', scales)),
    ...(zeroPoints === undefined
      ? {}
      : { zeroPoints: await scratch.write(`${name}.zero_points`, 'U8', [rows, groups], zeroPoints) }),
  };
}

/**
 * An expert with rounded projections: gate and up apart, since they may differ in bits. Projections that stay keep their stored
 * bytes where they have their own, and are written apart where they were one tensor.
 * @param weights the numbers the rounding was made from
 * @throws TunerError `writeFailed`
 */
export async function writeRoundedExpert(
  scratch: ScratchWeights,
  name: string,
  network: FeedForwardSpec,
  weights: FeedForwardWeights,
  rounded: RoundedExpert,
): Promise<FeedForwardSpec> {
  const { hiddenSize, width } = weights;
  const linear = async (
    projection: 'gate' | 'up' | 'down',
    stored: LinearSpec | undefined,
    like: LinearSpec,
    bias: TensorEntry | undefined,
  ): Promise<LinearSpec> => {
    const [outputSize, inputSize] = projection === 'down' ? [hiddenSize, width] : [width, hiddenSize];
    const matrix = rounded[projection];
    if (matrix === undefined) {
      return (
        stored ??
        writeLinear(
          scratch,
          `${name}.${projection}`,
          weights[projection]!,
          [outputSize, inputSize],
          { ...like, orientation: 'output-major' },
          computedDtype(like.weight),
          weights[`${projection}Bias`],
        )
      );
    }
    const weight = await writeQuantized(scratch, `${name}.${projection}`, matrix);
    return { weight, orientation: 'output-major', inputSize, outputSize, bias };
  };
  const bias = (projection: 'gate' | 'up', values: Float32Array | undefined) =>
    values === undefined
      ? Promise.resolve(undefined)
      : scratch.write(`${name}.${projection}.bias`, 'F32', [values.length], fromFloat32('F32', values));
  const scaledBias = weights.upBias?.map((value, at) => value / (rounded.channelScales?.[at] ?? 1));
  if (network.layout === 'fused-gated') {
    const { gateUp } = network;
    return {
      layout: 'gated',
      gate: await linear('gate', undefined, gateUp, await bias('gate', weights.gateBias)),
      up: await linear('up', undefined, gateUp, await bias('up', scaledBias)),
      down: await linear('down', network.down, network.down, network.down.bias),
    };
  }
  const upBias = rounded.channelScales === undefined ? network.up.bias : await bias('up', scaledBias);
  const up = await linear('up', network.up, network.up, upBias);
  const down = await linear('down', network.down, network.down, network.down.bias);
  return network.layout === 'ungated'
    ? { layout: 'ungated', up, down }
    : { layout: 'gated', gate: await linear('gate', network.gate, network.gate, network.gate.bias), up, down };
}
