import type { FeedForwardWeights } from '../../transform/readWeight';
import { bestAssignment } from './assignment';
import { transposed, type MatrixProduct } from './matrixProduct';

/** One row per intermediate channel: its gate row, up row, down column and biases, `[width, features]`. */
export function channelFeatures(weights: FeedForwardWeights): { readonly rows: Float32Array; readonly size: number } {
  const { width, hiddenSize, gate, up, down, gateBias, upBias } = weights;
  const parts = [gate, up, transposed(down, hiddenSize, width)].filter((part) => part !== undefined);
  const biases = [gateBias, upBias].filter((bias) => bias !== undefined);
  const size = parts.length * hiddenSize + biases.length;
  const rows = new Float32Array(width * size);
  for (let channel = 0; channel < width; channel += 1) {
    parts.forEach((part, at) => {
      rows.set(part.subarray(channel * hiddenSize, (channel + 1) * hiddenSize), channel * size + at * hiddenSize);
    });
    biases.forEach((bias, at) => {
      rows[channel * size + parts.length * hiddenSize + at] = bias[channel]!;
    });
  }
  return { rows, size };
}

/**
 * Weight matching of M-SMoE (arXiv 2310.01334, §3.1, after Git Re-Basin): the permutation P that maximises
 * ⟨W_in, P W_in,e⟩ + ⟨W_out, W_out,e Pᵀ⟩ against a reference expert.
 * @returns for every channel of the reference the channel of the other expert
 */
export async function alignByWeights(
  reference: FeedForwardWeights,
  other: FeedForwardWeights,
  product: MatrixProduct,
): Promise<Int32Array> {
  const { width } = reference;
  const [left, right] = [channelFeatures(reference), channelFeatures(other)];
  return bestAssignment(await product(left.rows, right.rows, width, left.size, width), width);
}

/**
 * Matching by what channels do and what they are (REAM, arXiv 2604.04356): mean of the cosine of activations over the same tokens
 * and the cosine of weights. REAM compresses the weights to 64 principal components first; here they are compared whole.
 * @param activations intermediate activations of both experts on the same inputs, `[tokens, width]`
 */
export async function alignByActivations(
  reference: FeedForwardWeights,
  other: FeedForwardWeights,
  activations: readonly [Float32Array, Float32Array],
  product: MatrixProduct,
): Promise<Int32Array> {
  const { width } = reference;
  const tokens = activations[0].length / width;
  const [left, right] = [channelFeatures(reference), channelFeatures(other)];
  const similarity = await product(
    unitRows(left.rows, width, left.size),
    unitRows(right.rows, width, right.size),
    width,
    left.size,
    width,
  );
  const columns = activations.map((values) => unitRows(transposed(values, tokens, width), width, tokens));
  const together = await product(columns[0]!, columns[1]!, width, tokens, width);
  return bestAssignment(
    similarity.map((cosine, at) => (cosine + together[at]!) / 2),
    width,
  );
}

/** Rows divided by their Euclidean norm; zero rows stay. */
function unitRows(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    let squares = 0;
    for (let at = row * columns; at < (row + 1) * columns; at += 1) {
      squares += values[at]! ** 2;
    }
    const factor = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let at = row * columns; at < (row + 1) * columns; at += 1) {
      result[at] = values[at]! * factor;
    }
  }
  return result;
}

/**
 * An expert with its intermediate channels in another order: the same function, as every activation works channel by channel.
 */
export function permuteChannels(weights: FeedForwardWeights, order: Int32Array): FeedForwardWeights {
  const { hiddenSize, width, down } = weights;
  const rows = (values: Float32Array | undefined, columns: number): Float32Array | undefined => {
    if (values === undefined) {
      return undefined;
    }
    const result = new Float32Array(values.length);
    order.forEach((from, to) => {
      result.set(values.subarray(from * columns, (from + 1) * columns), to * columns);
    });
    return result;
  };
  const newDown = new Float32Array(down.length);
  for (let row = 0; row < hiddenSize; row += 1) {
    for (let to = 0; to < width; to += 1) {
      newDown[row * width + to] = down[row * width + order[to]!]!;
    }
  }
  return {
    ...weights,
    gate: rows(weights.gate, hiddenSize),
    up: rows(weights.up, hiddenSize)!,
    down: newDown,
    gateBias: rows(weights.gateBias, 1),
    upBias: rows(weights.upBias, 1),
  };
}
