import { readTensorFloat32 } from '../checkpoint/readTensor';
import type { FeedForwardSpec, LinearSpec } from '../families/specification';
import { decodeStoredWeight } from './decodeWeight';

/** One feed-forward network as numbers; matrices are row-major. */
export interface FeedForwardWeights {
  readonly hiddenSize: number;
  /** Intermediate channels of the network. */
  readonly width: number;
  /** `[width, hidden]`; absent in networks without a gate projection. */
  readonly gate?: Float32Array | undefined;
  /** `[width, hidden]`. */
  readonly up: Float32Array;
  /** `[hidden, width]`. */
  readonly down: Float32Array;
  /** `[width]`. */
  readonly gateBias?: Float32Array | undefined;
  /** `[width]`. */
  readonly upBias?: Float32Array | undefined;
  /** `[hidden]`. */
  readonly downBias?: Float32Array | undefined;
}

/**
 * The matrix of a linear map as float32, row-major `[out, in]`, whatever its storage and orientation.
 * @throws TunerError `fileNotFound`, `malformedSafetensors`, `outOfMemory`
 */
export async function readLinear(linear: LinearSpec): Promise<Float32Array> {
  const stored = await decodeStoredWeight(linear.weight);
  return linear.orientation === 'output-major' ? stored : transpose(stored, linear.inputSize, linear.outputSize);
}

/** A feed-forward network as float32 with gate and up apart, whatever its layout; errors as {@link readLinear}. */
export async function readFeedForward(network: FeedForwardSpec): Promise<FeedForwardWeights> {
  const hiddenSize = network.down.outputSize;
  const width = network.down.inputSize;
  const down = await readLinear(network.down);
  const downBias = await readBias(network.down);
  if (network.layout === 'fused-gated') {
    const { gateUp, arrangement } = network;
    const [gate, up] = separateRows(await readLinear(gateUp), hiddenSize, arrangement);
    const bias = await readBias(gateUp);
    const [gateBias, upBias] = bias === undefined ? [] : separateRows(bias, 1, arrangement);
    return { hiddenSize, width, gate, up, down, gateBias, upBias, downBias };
  }
  const gate = network.layout === 'gated' ? await readLinear(network.gate) : undefined;
  const gateBias = network.layout === 'gated' ? await readBias(network.gate) : undefined;
  const up = await readLinear(network.up);
  return { hiddenSize, width, gate, up, down, gateBias, upBias: await readBias(network.up), downBias };
}

async function readBias({ bias }: LinearSpec): Promise<Float32Array | undefined> {
  return bias === undefined ? undefined : readTensorFloat32(bias);
}

/** Gate and up rows of a fused matrix `[2 · width, columns]`. */
export function separateRows(
  both: Float32Array,
  columns: number,
  arrangement: 'concatenated' | 'interleaved',
): [Float32Array, Float32Array] {
  const half = both.length / 2;
  if (arrangement === 'concatenated') {
    return [both.subarray(0, half), both.subarray(half)];
  }
  const [gate, up] = [new Float32Array(half), new Float32Array(half)];
  for (let row = 0; row < half / columns; row += 1) {
    const start = 2 * row * columns;
    gate.set(both.subarray(start, start + columns), row * columns);
    up.set(both.subarray(start + columns, start + 2 * columns), row * columns);
  }
  return [gate, up];
}

/** Side of the squares that are moved at once, so that reads and writes both stay in the processor's cache. */
const tile = 32;

/** `[rows, columns]` → `[columns, rows]`. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let top = 0; top < rows; top += tile) {
    const bottom = Math.min(rows, top + tile);
    for (let left = 0; left < columns; left += tile) {
      const right = Math.min(columns, left + tile);
      for (let row = top; row < bottom; row += 1) {
        for (let column = left; column < right; column += 1) {
          result[column * rows + row] = values[row * columns + column]!;
        }
      }
    }
  }
  return result;
}
