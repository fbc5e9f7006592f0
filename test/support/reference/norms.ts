import type { Tensor } from './readTensors';

/** A normalization of one vector; the same length comes back. */
export type Norm = (vector: Float64Array) => Float64Array;

/** `x / sqrt(mean(x²) + epsilon) * weight`; without a weight it is the L2 norm of Llama-4. */
export function rmsNorm(weight: Tensor | undefined, epsilon: number): Norm {
  return (vector) => {
    const meanSquare = vector.reduce((sum, value) => sum + value * value, 0) / vector.length;
    const inverse = 1 / Math.sqrt(meanSquare + epsilon);
    return vector.map((value, index) => value * inverse * (weight === undefined ? 1 : weight.data[index]!));
  };
}

/** `(x − mean) / sqrt(variance + epsilon) * weight + bias`, with the biased variance. */
export function layerNorm(weight: Tensor, bias: Tensor | undefined, epsilon: number): Norm {
  return (vector) => {
    const mean = vector.reduce((sum, value) => sum + value, 0) / vector.length;
    const variance = vector.reduce((sum, value) => sum + (value - mean) ** 2, 0) / vector.length;
    const inverse = 1 / Math.sqrt(variance + epsilon);
    return vector.map(
      (value, index) => (value - mean) * inverse * weight.data[index]! + (bias === undefined ? 0 : bias.data[index]!),
    );
  };
}

/** Applies a norm to each head of a vector `[heads * headDim]`. */
export function normEachHead(norm: Norm, vector: Float64Array, headDim: number): Float64Array {
  const result = new Float64Array(vector.length);
  for (let start = 0; start < vector.length; start += headDim) {
    result.set(norm(vector.subarray(start, start + headDim)), start);
  }
  return result;
}
