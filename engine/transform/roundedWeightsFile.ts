import { createHash } from 'node:crypto';
import { fromFloat32 } from '../checkpoint/encodeDtype';
import { readSafetensorsHeader, type SafetensorsHeader } from '../checkpoint/safetensorsHeader';
import { readTensorBytes, readTensorFloat32 } from '../checkpoint/readTensor';
import type { TensorEntry } from '../checkpoint/types';
import { writeSafetensors, type TensorToWrite } from '../checkpoint/writeSafetensors';
import type {
  BlockQuantizedWeight,
  FeedForwardSpec,
  LinearSpec,
  MoeBlockSpec,
  WeightSource,
} from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';

/** Where rounded weights of calibrated methods lie: a safetensors file beside the plan. */
const metadataKey = 'moe-tuner';

/** Linear maps of a network by name; fused ones are never rounded as one. */
type LinearName = 'gate' | 'up' | 'down';

/** What rounded weights belong to: the checkpoint, the experts that the sections before leave, and the section itself. */
export function roundedWeightsKey({ source, prune, merge, quantize }: Plan): string {
  const decided = [
    quantize?.method,
    quantize?.group,
    quantize?.symmetric,
    quantize?.scope,
    quantize?.layers,
    quantize?.calibrationTokens,
    quantize?.seed,
    // Only where they differ: keys of plans with one group stay what they were.
    ...(quantize?.groups === undefined ? [] : [quantize.groups]),
    ...(quantize?.options?.['smoothing'] === undefined ? [] : [{ smoothing: quantize.options['smoothing'] }]),
  ];
  // Likewise only where something stands for experts that went.
  const kept =
    prune?.replacement === undefined ? prune?.keep : [prune.keep, prune.replacement, prune.statistics ?? null];
  return createHash('sha256')
    .update(JSON.stringify([source?.fingerprint, kept, merge?.groups, merge?.weights, ...decided]))
    .digest('hex');
}

/**
 * Writes the rounded experts of all layers into one safetensors file.
 * @param experts per MoE layer in order, or undefined where a layer stays as it is
 * @param blocks what they were made from; linear maps that are the same object are not stored again
 * @param key of the plan as it will be written, see {@link roundedWeightsKey}
 * @param smoothing factors that the inputs of every block are divided by; empty where they stay
 * @throws TunerError `writeFailed`
 */
export async function writeRoundedWeights(
  file: string,
  experts: readonly (readonly FeedForwardSpec[] | undefined)[],
  blocks: readonly MoeBlockSpec[],
  key: string,
  smoothing: readonly Float32Array[] = [],
): Promise<void> {
  const tensors: TensorToWrite[] = smoothing.map((factors, position) => ({
    name: smoothingName(position),
    dtype: 'F32',
    shape: [factors.length],
    data: whole(fromFloat32('F32', factors)),
  }));
  for (const [position, layer] of experts.entries()) {
    for (const [expert, network] of (layer ?? []).entries()) {
      for (const [name, linear] of changedLinears(network, blocks[position]!.experts[expert]!)) {
        const place = `${position}.${expert}.${name}`;
        for (const [part, entry] of storedParts(linear)) {
          tensors.push({ name: `${place}.${part}`, dtype: entry.dtype, shape: entry.shape, data: bytesOf(entry) });
        }
      }
    }
  }
  await writeSafetensors(file, tensors, { [metadataKey]: key });
}

const smoothingName = (position: number) => `${position}.smoothing`;

async function* whole(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(bytes);
}

async function* bytesOf(entry: TensorEntry): AsyncIterable<Uint8Array> {
  yield await readTensorBytes(entry);
}

/** The linear maps of a network that are not those of the network it was made from. */
function changedLinears(network: FeedForwardSpec, from: FeedForwardSpec): [LinearName, LinearSpec][] {
  if (network.layout === 'fused-gated') {
    throw new TunerError('internal', 'A fused expert cannot be stored as rounded.');
  }
  const names: LinearName[] = network.layout === 'gated' ? ['gate', 'up', 'down'] : ['up', 'down'];
  return names.flatMap((name) => {
    const linear = linearOf(network, name);
    return linear === undefined || linear === linearOf(from, name) ? [] : [[name, linear] as [LinearName, LinearSpec]];
  });
}

function linearOf(network: FeedForwardSpec, name: LinearName): LinearSpec | undefined {
  if (name === 'down') {
    return network.down;
  }
  return network.layout === 'gated'
    ? network[name]
    : network.layout === 'ungated' && name === 'up'
      ? network.up
      : undefined;
}

function storedParts({ weight, bias }: LinearSpec): [string, TensorEntry][] {
  const parts: [string, TensorEntry | undefined][] =
    weight.storage === 'block-quantized'
      ? [
          ['codes', weight.codes],
          ['scales', weight.scales],
          ['zero_points', weight.zeroPoints],
        ]
      : weight.storage === 'plain'
        ? [['plain', weight.entry]]
        : [];
  return [...parts, ['bias', bias] as [string, TensorEntry | undefined]].flatMap(([part, entry]) =>
    entry === undefined ? [] : [[part, entry] as [string, TensorEntry]],
  );
}

/** One reading per plan object: a plan is applied layer by layer. */
const headers = new WeakMap<Plan, Promise<SafetensorsHeader>>();

function headerOf(file: string, plan: Plan): Promise<SafetensorsHeader> {
  const known = headers.get(plan) ?? readSafetensorsHeader(file);
  headers.set(plan, known);
  return known;
}

/**
 * The experts of one MoE layer with the rounded weights of a file.
 * @throws TunerError `malformedPlan` where the weights were rounded for other experts or bits than the plan has now
 */
export async function roundedExpertsOf(
  file: string,
  plan: Plan,
  position: number,
  block: MoeBlockSpec,
): Promise<FeedForwardSpec[]> {
  const header = await headerOf(file, plan);
  if (header.metadata[metadataKey] !== roundedWeightsKey(plan)) {
    throw new TunerError('malformedPlan', 'The rounded weights were made for another state of the plan.', {
      file,
      wayOut: 'Run "quantize" again after changing what is pruned, merged or rounded.',
    });
  }
  const tensors = new Map(header.tensors.map((entry) => [entry.name, entry]));
  return block.experts.map((network, expert) => {
    const restore = (name: LinearName, stored: LinearSpec | undefined): LinearSpec =>
      restoreLinear(tensors, `${position}.${expert}.${name}`, name, stored, network, file);
    const down = restore('down', network.down);
    switch (network.layout) {
      case 'ungated':
        return { layout: 'ungated', up: restore('up', network.up), down };
      case 'gated':
        return { layout: 'gated', gate: restore('gate', network.gate), up: restore('up', network.up), down };
      case 'fused-gated':
        return { layout: 'gated', gate: restore('gate', undefined), up: restore('up', undefined), down };
    }
  });
}

/** Factors that the inputs of a MoE layer are divided by; undefined where the plan smooths none. */
export async function smoothingOf(file: string, plan: Plan, position: number): Promise<Float32Array | undefined> {
  const header = await headerOf(file, plan);
  const entry = header.tensors.find(({ name }) => name === smoothingName(position));
  return entry === undefined ? undefined : readTensorFloat32(entry);
}

function restoreLinear(
  tensors: ReadonlyMap<string, TensorEntry>,
  place: string,
  name: LinearName,
  stored: LinearSpec | undefined,
  network: FeedForwardSpec,
  file: string,
): LinearSpec {
  const { inputSize: width, outputSize: hidden } = network.down;
  const [outputSize, inputSize] = name === 'down' ? [hidden, width] : [width, hidden];
  const codes = tensors.get(`${place}.codes`);
  const scales = tensors.get(`${place}.scales`);
  if (codes === undefined || scales === undefined) {
    const plain = tensors.get(`${place}.plain`);
    if (plain !== undefined) {
      const weight: WeightSource = { storage: 'plain', entry: plain };
      return { weight, orientation: 'output-major', inputSize, outputSize, bias: tensors.get(`${place}.bias`) };
    }
    if (stored === undefined) {
      throw new TunerError('malformedPlan', 'The file of rounded weights misses a matrix.', { file, place });
    }
    return stored;
  }
  const group = inputSize / scales.shape[1]!;
  const bits = (codes.shape[2]! * 8) / group;
  const weight: BlockQuantizedWeight = {
    storage: 'block-quantized',
    bits: bits as 2 | 4 | 8,
    group,
    rows: outputSize,
    columns: inputSize,
    codes,
    scales,
    zeroPoints: tensors.get(`${place}.zero_points`),
  };
  const bias = tensors.get(`${place}.bias`) ?? stored?.bias;
  return { weight, orientation: 'output-major', inputSize, outputSize, bias };
}
