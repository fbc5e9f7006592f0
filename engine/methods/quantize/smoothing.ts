/** Factors lie between this and its inverse: channels that are nearly always zero must not become the largest ones. */
const smallestFactor = 1e-4;

/** The largest sizes per input channel of what one expert, or the router, is given and of the weights that meet it. */
export interface ChannelSizes {
  readonly inputs: Float32Array;
  readonly weights: Float32Array;
}

/**
 * Expert-aware smoothing aggregation (EAQuant, arXiv 2506.13329, EA-SA): one factor per input channel for all experts of a layer and its
 * router, s_j = max_i (max |x_j|^α / max |W_j|^(1 - α)), divided by √(max s · min s), so that weights keep their size on the whole.
 * Weights are multiplied by it, inputs divided through the norm before them: the same function.
 * @param exponent α, from 0 to 1
 * @returns one factor per channel; 1 where no expert has both inputs and weights
 */
export function smoothingFactors(parts: readonly ChannelSizes[], exponent: number): Float32Array {
  const channels = parts[0]!.inputs.length;
  const factors = Float64Array.from({ length: channels }, (_, channel) => {
    let most = 0;
    for (const { inputs, weights } of parts) {
      const [input, weight] = [inputs[channel]!, weights[channel]!];
      if (input > 0 && weight > 0) {
        most = Math.max(most, input ** exponent / weight ** (1 - exponent));
      }
    }
    return most;
  });
  const used = factors.filter((factor) => factor > 0);
  const middle = used.length === 0 ? 1 : Math.sqrt(Math.max(...used) * Math.min(...used));
  return Float32Array.from(factors, (factor) =>
    factor > 0 ? Math.min(1 / smallestFactor, Math.max(smallestFactor, factor / middle)) : 1,
  );
}

/** The largest size per column of row-major matrices of one width. */
export function largestInColumns(matrices: readonly Float32Array[], columns: number): Float32Array {
  const largest = new Float32Array(columns);
  for (const values of matrices) {
    for (let at = 0, column = 0; at < values.length; at += 1, column = column + 1 === columns ? 0 : column + 1) {
      const size = Math.abs(values[at]!);
      if (size > largest[column]!) {
        largest[column] = size;
      }
    }
  }
  return largest;
}
