import { nearestCode, roundToNearest } from './roundToNearest';
import { roundScale, type Matrix, type QuantizedMatrix, type RoundingFormat } from './quantizedMatrix';

/** Exponent of the norm: below 1 it forgives the few large weights, which act like outliers. */
const exponent = 0.7;
const iterations = 20;
const firstBeta = 10;
const betaGrowth = 1.01;
/** Turns without a smaller norm after which a group is left as it is best. */
const patience = 3;

/**
 * Half-quadratic quantization (HQQ, Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models"): data-free,
 * minimises ||W - W_r||_p with p = 0.7 by turns,
 *
 *     W_e = shrink(W - W_r, beta),  shrink(x) = sign(x) · max(0, |x| - |x|^(p-1) / beta)
 *     z   = mean(q - (W - W_e) / s)            (asymmetric; s stays that of round-to-nearest)
 *     s   = <W - W_e, q - z> / <q - z, q - z>  (symmetric: there is no z to move, so the scale moves)
 *
 * beta starts at 10 and grows by 1 % per turn. Zero points are rounded to whole numbers, since every target stores them so. The best
 * turn of every group is kept, so the norm is never larger than that of round-to-nearest.
 */
export function halfQuadratic(matrix: Matrix, format: RoundingFormat): QuantizedMatrix {
  const result = roundToNearest(matrix, format);
  // The distances |w| at which the norm begins to forgive are fixed numbers, so groups are brought to one size first.
  const scratch = { weights: new Float64Array(format.group), codes: new Float64Array(format.group) };
  for (let inGroup = 0; inGroup < result.scales.length; inGroup += 1) {
    refineGroup(matrix.values, inGroup, result, scratch);
  }
  return result;
}

function refineGroup(
  values: Float32Array,
  inGroup: number,
  result: QuantizedMatrix,
  scratch: { readonly weights: Float64Array; readonly codes: Float64Array },
): void {
  const { group, bits, scales, zeroPoints } = result;
  const { weights, codes } = scratch;
  const start = inGroup * group;
  const middle = 2 ** (bits - 1);
  const top = 2 ** bits - 1;
  weights.set(values.subarray(start, start + group));
  let scale = scales[inGroup]!;
  let zero = zeroPoints?.[inGroup] ?? middle;
  let least = normAt(weights, scale, zero, top, codes);
  let beta = firstBeta;
  let [bestScale, bestZero] = [scale, zero];
  let idle = 0;
  for (let turn = 0; turn < iterations; turn += 1, beta *= betaGrowth) {
    let [sum, product, square] = [0, 0, 0];
    for (let at = 0; at < group; at += 1) {
      const code = codes[at]!;
      const weight = weights[at]!;
      const rest = weight - (code - zero) * scale;
      const target = weight - shrink(rest, beta);
      sum += code - target / scale;
      product += target * (code - zero);
      square += (code - zero) ** 2;
    }
    if (zeroPoints !== undefined) {
      zero = sum / group;
    } else if (square > 0 && product > 0) {
      scale = product / square;
    }
    const [storedScale, storedZero] = stored(scale, zero, top, zeroPoints !== undefined);
    const norm = normAt(weights, storedScale, storedZero, top, codes);
    if (norm < least) {
      least = norm;
      [bestScale, bestZero] = [storedScale, storedZero];
      idle = 0;
    } else {
      idle += 1;
      if (idle === patience) {
        break;
      }
    }
    // The turns go on from the real zero point, not from the rounded one.
    normAt(weights, scale, zero, top, codes);
  }
  scales[inGroup] = bestScale;
  if (zeroPoints !== undefined) {
    zeroPoints[inGroup] = bestZero;
  }
  normAt(weights, bestScale, bestZero, top, codes);
  result.codes.set(codes, start);
}

function stored(scale: number, zero: number, top: number, moves: boolean): [number, number] {
  return [roundScale(scale), moves ? Math.max(0, Math.min(top, Math.round(zero))) : zero];
}

function shrink(value: number, beta: number): number {
  const size = Math.abs(value);
  return size === 0 ? 0 : Math.sign(value) * Math.max(0, size - size ** (exponent - 1) / beta);
}

/** Σ |w - w_r|^p, and the codes that give it. */
function normAt(weights: Float64Array, scale: number, zero: number, top: number, codes: Float64Array): number {
  let norm = 0;
  for (let at = 0; at < weights.length; at += 1) {
    const code = nearestCode(weights[at]! / scale + zero, top);
    codes[at] = code;
    norm += Math.abs(weights[at]! - (code - zero) * scale) ** exponent;
  }
  return norm;
}
