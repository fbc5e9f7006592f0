/** Codes -1, 0, 1 and one scale for a whole matrix. */
export interface TernaryMatrix {
  readonly codes: Int8Array;
  readonly scale: number;
}

/** Which scale stands for a one: the mean of all weights, as models are trained (MoTE), or of those that are not zero. */
export type TernaryScale = 'absolute-mean' | 'least-squares';

/**
 * Ternary weights (MoTE, arXiv 2506.14435, section 3, after BitNet b1.58): γ = mean|W|, Ŵ = γ · clip(round(W / γ), -1, 1), one γ per
 * matrix. The scale with the least squared error for these codes is the mean of |w| over the weights whose code is not zero.
 *
 * Experts of such models are trained in this form; rounding trained weights to it says how far they are from it.
 */
export function ternaryRounding(values: Float32Array, scale: TernaryScale): TernaryMatrix {
  const codes = new Int8Array(values.length);
  const mean = values.reduce((sum, value) => sum + Math.abs(value), 0) / (values.length || 1);
  let [sum, used] = [0, 0];
  for (let at = 0; at < values.length; at += 1) {
    const size = Math.abs(values[at]!);
    // Halves round to the even code, which is zero.
    if (size > mean / 2) {
      codes[at] = Math.sign(values[at]!);
      sum += size;
      used += 1;
    }
  }
  return { codes, scale: scale === 'absolute-mean' || used === 0 ? mean : sum / used };
}

/** The weights that ternary codes stand for. */
export function ternaryValues({ codes, scale }: TernaryMatrix): Float32Array {
  return Float32Array.from(codes, (code) => code * scale);
}
