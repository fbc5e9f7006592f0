import { fromFloat32 } from '../checkpoint/encodeDtype';
import { readTensorFloat32 } from '../checkpoint/readTensor';
import type {
  DecoderLayerSpec,
  FeedForwardSpec,
  LinearSpec,
  MoeBlockSpec,
  NormSpec,
  SharedExpertSpec,
} from '../families/specification';
import { weightShape } from '../graph/weights';
import { scaleColumns } from '../methods/quantize/awq';
import { TunerError } from '../protocol/errors';
import { decodeStoredWeight } from './decodeWeight';
import { readLinear } from './readWeight';
import type { ScratchWeights } from './scratchWeights';

/**
 * The norm whose output a block is given, where a factor per channel can go into it.
 * @throws TunerError `unsupportedFeature` where nothing but the norm could take the factors up
 */
export function smoothableNorm({ index, normPlacement, feedForwardNorm }: DecoderLayerSpec): NormSpec {
  if (normPlacement !== 'pre') {
    throw new TunerError('unsupportedFeature', `Decoder layer ${index} has no norm before its experts.`, {
      place: '--smoothing',
      wayOut: 'Quantize without smoothing.',
    });
  }
  return feedForwardNorm;
}

/**
 * Everything of a block but its routed experts, for inputs that are divided by factors per channel: router, shared networks, and the
 * norm that divides them. All in float32, so that the function stays what it is.
 * @param norm before the block, as the checkpoint has it
 * @throws TunerError `writeFailed`
 */
export async function smoothSurroundings(
  block: MoeBlockSpec,
  factors: Float32Array,
  norm: NormSpec,
  scratch: ScratchWeights,
): Promise<MoeBlockSpec> {
  const { router, shared, beside, layer } = block;
  const shape = weightShape(router.weight);
  const rows = scaleColumns(await decodeStoredWeight(router.weight), factors);
  const entry = await scratch.write(`layer ${layer}.router`, 'F32', shape, fromFloat32('F32', rows));
  const name = `layer ${layer}.shared`;
  return {
    ...block,
    router: { ...router, weight: { storage: 'plain', entry } },
    ...(shared === undefined ? {} : { shared: await smoothShared(shared, factors, scratch, name) }),
    ...(beside === undefined ? {} : { beside: await smoothShared(beside, factors, scratch, name) }),
    inputNorm: await dividedNorm(norm, factors, scratch, `layer ${layer}.norm`),
  };
}

async function smoothShared(
  shared: SharedExpertSpec,
  factors: Float32Array,
  scratch: ScratchWeights,
  name: string,
): Promise<SharedExpertSpec> {
  const gate = shared.gate === undefined ? {} : { gate: await smoothLinear(shared.gate, factors, scratch, name) };
  return { ...shared, ...gate, network: await smoothNetwork(shared.network, factors, scratch, name) };
}

/** A network for inputs that are divided by factors per channel; errors as {@link smoothSurroundings}. */
export async function smoothNetwork(
  network: FeedForwardSpec,
  factors: Float32Array,
  scratch: ScratchWeights,
  name: string,
): Promise<FeedForwardSpec> {
  const smooth = (linear: LinearSpec, part: string) => smoothLinear(linear, factors, scratch, `${name}.${part}`);
  switch (network.layout) {
    case 'gated':
      return { ...network, gate: await smooth(network.gate, 'gate'), up: await smooth(network.up, 'up') };
    case 'fused-gated':
      return { ...network, gateUp: await smooth(network.gateUp, 'gate_up') };
    case 'ungated':
      return { ...network, up: await smooth(network.up, 'up') };
  }
}

async function smoothLinear(
  linear: LinearSpec,
  factors: Float32Array,
  scratch: ScratchWeights,
  name: string,
): Promise<LinearSpec> {
  const values = scaleColumns(await readLinear(linear), factors);
  const shape = [linear.outputSize, linear.inputSize];
  const entry = await scratch.write(name, 'F32', shape, fromFloat32('F32', values));
  return { ...linear, orientation: 'output-major', weight: { storage: 'plain', entry } };
}

/** A norm with gains (and biases) divided by factors per channel. */
async function dividedNorm(
  norm: NormSpec,
  factors: Float32Array,
  scratch: ScratchWeights,
  name: string,
): Promise<NormSpec> {
  const divided = async (part: string, values: ArrayLike<number>, offset: number) =>
    scratch.write(
      `${name}.${part}`,
      'F32',
      [factors.length],
      fromFloat32(
        'F32',
        Float32Array.from(factors, (factor, at) => (values[at]! + offset) / factor - offset),
      ),
    );
  if (norm.kind === 'layer') {
    const weight = await divided('weight', await readTensorFloat32(norm.weight), 0);
    const bias = norm.bias === undefined ? undefined : await divided('bias', await readTensorFloat32(norm.bias), 0);
    return { ...norm, weight, bias };
  }
  const gains = norm.weight === undefined ? factors.map(() => 1 - norm.offset) : await readTensorFloat32(norm.weight);
  return { ...norm, weight: await divided('weight', gains, norm.offset) };
}
