import { errorOnInputs, type InputMoments } from './hessian';
import { dequantize, type Matrix, type QuantizedMatrix } from './quantizedMatrix';

/** Exponents that are tried, from none to the full mean size of the input channel. */
const exponents = Array.from({ length: 20 }, (_, at) => at / 20);

/** A scaled and rounded matrix W · diag(s), and s itself. */
export interface ScaledRounding {
  readonly matrix: QuantizedMatrix;
  /** One factor per input channel; the channel before it is divided by the same number. */
  readonly scales: Float32Array;
  readonly exponent: number;
  readonly error: number;
}

/**
 * Activation-aware scales (AWQ, Lin et al. 2023, arXiv 2306.00978, section 3.2): weights of channels with large inputs are enlarged
 * before rounding, s_j = (rms x_j)^α / √(max s · min s), and the inputs made smaller by the same factor. The α of a grid with the
 * least error on the calibration inputs is taken; α = 0 is no scaling, so the error is never larger than that of plain rounding.
 *
 * @param round the rounding that is applied to the scaled weights
 */
export function activationAware(
  matrix: Matrix,
  moments: InputMoments,
  round: (scaled: Matrix) => QuantizedMatrix,
): ScaledRounding {
  const { values, rows, columns } = matrix;
  const size = Float64Array.from({ length: columns }, (_, at) => Math.sqrt(moments.moments[at * columns + at]!));
  let best: ScaledRounding | undefined;
  for (const exponent of exponents) {
    const scales = channelScales(size, exponent);
    const scaled = scaleColumns(values, scales);
    const rounded = round({ values: scaled, rows, columns });
    const change = dequantize(rounded);
    for (let at = 0; at < change.length; at += 1) {
      change[at] = change[at]! / scales[at % columns]! - values[at]!;
    }
    const error = errorOnInputs(change, moments).reduce((sum, value) => sum + value, 0);
    if (best === undefined || error < best.error) {
      best = { matrix: rounded, scales, exponent, error };
    }
  }
  return best!;
}

/** Channels without any input keep the factor 1. */
function channelScales(size: Float64Array, exponent: number): Float32Array {
  const powers = size.map((value) => (value > 0 ? value ** exponent : 0));
  const used = powers.filter((value) => value > 0);
  const norm = used.length === 0 ? 1 : Math.sqrt(Math.max(...used) * Math.min(...used));
  return Float32Array.from(powers, (value) => (value > 0 ? value / norm : 1));
}

/** W · diag(s) of a row-major matrix. */
export function scaleColumns(values: Float32Array, scales: Float32Array): Float32Array {
  return values.map((value, at) => value * scales[at % scales.length]!);
}

/** diag(s)⁻¹ · W: what makes up for {@link scaleColumns} in the linear map before. */
export function divideRows(values: Float32Array, scales: Float32Array): Float32Array {
  const columns = values.length / scales.length;
  return values.map((value, at) => value / scales[Math.floor(at / columns)]!);
}
