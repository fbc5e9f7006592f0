import type { Dtype, TensorEntry } from '../../checkpoint/types';
import type { FeedForwardSpec, LinearSpec, WeightSource } from '../../families/specification';
import type { StackedMatrix, StackPart } from './stackedTensors';

const stackable: ReadonlySet<Dtype> = new Set(['F32', 'F16', 'BF16']);
/** Smallest group of weights with one scale that `QMoE` takes; groups are powers of two. */
const smallestGroup = 16;

/** Codes of a layer of experts: how many bits, and how many weights share a scale. */
export interface CodeFormat {
  readonly bits: number;
  readonly group: number;
}

/** One linear layer of one expert as parts of stacked tensors; scales are those of codes. */
export interface StackedLinear {
  readonly weight: readonly StackPart[];
  readonly scales: readonly StackPart[];
  readonly zeroPoints: readonly StackPart[];
  readonly bias: readonly StackPart[];
}

/** The code format of a weight that `QMoE` computes exactly. */
export function codeFormat(weight: WeightSource): CodeFormat | undefined {
  if (weight.storage !== 'block-quantized') {
    return undefined;
  }
  const { bits, group, columns, zeroPoints: points } = weight;
  // With 2 bits and larger groups it rounds its inputs; with one group a row it reads zero points in another order.
  const exact = (bits !== 2 || group === smallestGroup) && (points === undefined || columns > group);
  return exact && group >= smallestGroup && Number.isInteger(Math.log2(group)) ? { bits, group } : undefined;
}

/**
 * What must be the same for all experts of one operator, as a text to compare; undefined for networks that none takes.
 */
export function stackedShape(network: FeedForwardSpec): string | undefined {
  if (network.layout === 'ungated') {
    return undefined;
  }
  const maps = network.layout === 'gated' ? [network.gate, network.up, network.down] : [network.gateUp, network.down];
  const storages = new Set(maps.map(({ weight }) => storageOf(weight)));
  const mixedBias = network.layout === 'gated' && network.gate.bias?.dtype !== network.up.bias?.dtype;
  if (storages.size > 1 || storages.has(undefined) || mixedBias) {
    return undefined;
  }
  const parts = maps.map(({ inputSize, outputSize, orientation, bias: vector }) =>
    [inputSize, outputSize, orientation, vector?.dtype].join(' '),
  );
  return [network.layout, ...storages, ...parts].join(', ');
}

function storageOf(weight: WeightSource): string | undefined {
  if (weight.storage === 'plain') {
    return stackable.has(weight.entry.dtype) ? weight.entry.dtype : undefined;
  }
  const format = codeFormat(weight);
  const centred = weight.storage === 'block-quantized' && weight.zeroPoints === undefined;
  return format === undefined
    ? undefined
    : `${format.bits} bits by ${format.group}${centred ? '' : ' with zero points'}`;
}

/** Gate and up as one layer, their rows by turns, as the operators read them. */
export function firstLayer(network: FeedForwardSpec): StackedLinear {
  if (network.layout === 'gated') {
    const { gate, up } = network;
    const alternate = (of: (map: LinearSpec) => StackedMatrix | undefined): StackPart[] => {
      const [first, second] = [of(gate), of(up)];
      return first === undefined || second === undefined ? [] : [{ kind: 'alternate', first, second }];
    };
    return {
      weight: alternate(weights),
      scales: alternate(scales),
      zeroPoints: alternate(zeroPoints),
      bias: alternate(bias),
    };
  }
  if (network.layout === 'ungated') {
    throw new RangeError('a network without a gate has no fused first layer');
  }
  return inOrder(network.gateUp, network.arrangement === 'interleaved' ? 'rows' : 'halves');
}

export function secondLayer({ down }: FeedForwardSpec): StackedLinear {
  return inOrder(down, 'rows');
}

function inOrder(map: LinearSpec, kind: 'rows' | 'halves'): StackedLinear {
  const part = (matrix: StackedMatrix | undefined): StackPart[] => (matrix === undefined ? [] : [{ kind, matrix }]);
  return {
    weight: part(weights(map)),
    scales: part(scales(map)),
    zeroPoints: part(zeroPoints(map)),
    bias: part(bias(map)),
  };
}

function weights({ weight, orientation, inputSize, outputSize }: LinearSpec): StackedMatrix {
  if (weight.storage === 'plain') {
    return { entry: weight.entry, rows: outputSize, columns: inputSize, transposed: orientation === 'input-major' };
  }
  if (weight.storage === 'block-quantized') {
    return matrixOf(weight.codes, weight.rows);
  }
  throw new RangeError(`weights stored as ${weight.storage} are not stacked`);
}

function scales({ weight }: LinearSpec): StackedMatrix | undefined {
  return weight.storage === 'block-quantized' ? matrixOf(weight.scales, weight.rows) : undefined;
}

function zeroPoints({ weight }: LinearSpec): StackedMatrix | undefined {
  if (weight.storage !== 'block-quantized' || weight.zeroPoints === undefined) {
    return undefined;
  }
  const { rows, columns, group, bits } = weight;
  const bytes = Math.ceil(((columns / group) * bits) / 8);
  return { entry: weight.zeroPoints, rows, columns: bytes, transposed: false, packedBits: bits };
}

function bias({ bias: entry, outputSize }: LinearSpec): StackedMatrix | undefined {
  return entry === undefined ? undefined : matrixOf(entry, outputSize);
}

function matrixOf(entry: TensorEntry, rows: number): StackedMatrix {
  const values = entry.shape.reduce((product, size) => product * size, 1);
  return { entry, rows, columns: values / rows, transposed: false };
}
