import { fromFloat32 } from '../../checkpoint/encodeDtype';
import { readTensorFloat32 } from '../../checkpoint/readTensor';
import type { TensorEntry } from '../../checkpoint/types';
import type { BlockQuantizedWeight, FeedForwardSpec, LinearSpec, WeightRounding } from '../../families/specification';
import type { ProjectionGroups } from '../../methods/quantize/projectionGroups';
import type { ExpertBits, Projection } from '../../methods/quantize/quantizers';
import { separateRows } from '../readWeight';
import type { ScratchWeights } from '../scratchWeights';
import type { RoundedSize } from './roundings';

/** How the experts of a plan are rounded, and where their codes go. */
export interface ExpertRoundings {
  readonly method: WeightRounding['method'];
  readonly symmetric: boolean;
  readonly groups: ProjectionGroups;
  /** For biases of gate and up that were one tensor. */
  readonly scratch: ScratchWeights;
  round(rounding: WeightRounding, size: RoundedSize): Promise<BlockQuantizedWeight>;
}

/** Whether every projection of an expert can be rounded without the others: gate and up of one matrix only if both are. */
export function roundsApart(network: FeedForwardSpec, bits: ExpertBits): boolean {
  return network.layout !== 'fused-gated' || (bits.gate !== 16 && bits.up !== 16);
}

/**
 * An expert with rounded projections, each from its stored weight alone. Gate and up come apart, since they may differ in bits.
 * @param network that {@link roundsApart} holds for
 */
export async function roundExpert(
  name: string,
  network: FeedForwardSpec,
  bits: ExpertBits,
  roundings: ExpertRoundings,
): Promise<FeedForwardSpec> {
  const { method, symmetric, groups } = roundings;
  const round = async (
    projection: Projection,
    source: LinearSpec,
    half?: WeightRounding['half'],
    bias: TensorEntry | undefined = source.bias,
  ): Promise<LinearSpec> => {
    const width = bits[projection];
    if (width === 16) {
      return source;
    }
    const { inputSize } = source;
    const outputSize = half === undefined ? source.outputSize : source.outputSize / 2;
    const size = { name: `${name}.${projection}`, rows: outputSize, columns: inputSize, group: groups[projection] };
    const weight = await roundings.round({ method, source, half, bits: width, symmetric }, size);
    return { weight, orientation: 'output-major', inputSize, outputSize, bias };
  };
  const down = await round('down', network.down);
  switch (network.layout) {
    case 'ungated':
      return { layout: 'ungated', up: await round('up', network.up), down };
    case 'gated':
      return { ...network, gate: await round('gate', network.gate), up: await round('up', network.up), down };
    case 'fused-gated': {
      const { gateUp, arrangement } = network;
      const [gateBias, upBias] = await separateBias(name, gateUp.bias, arrangement, roundings.scratch);
      // The bias of both is not that of either.
      const source = { ...gateUp, bias: undefined };
      const gate = await round('gate', source, { which: 'gate', arrangement }, gateBias);
      return { layout: 'gated', gate, up: await round('up', source, { which: 'up', arrangement }, upBias), down };
    }
  }
}

async function separateBias(
  name: string,
  bias: TensorEntry | undefined,
  arrangement: 'concatenated' | 'interleaved',
  scratch: ScratchWeights,
): Promise<(TensorEntry | undefined)[]> {
  if (bias === undefined) {
    return [];
  }
  const [gate, up] = separateRows(await readTensorFloat32(bias), 1, arrangement);
  const write = (projection: string, values: Float32Array) =>
    scratch.write(`${name}.${projection}.bias`, 'F32', [values.length], fromFloat32('F32', values));
  return [await write('gate', gate), await write('up', up)];
}
