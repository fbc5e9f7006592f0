import { cholesky, inverseFromCholesky } from './leastSquares';
import { transposed, type MatrixProduct } from './matrixProduct';

/** Ridge strengths that are tried when none is given, relative to the mean square of an activation channel. */
export const ridgeCandidates = [1e-4, 1e-3, 1e-2, 1e-1, 1, 10] as const;

/** Every how many-th token judges the ridge instead of being fitted. */
const heldOutEvery = 4;

export interface RefitSamples {
  readonly tokens: number;
  readonly width: number;
  readonly hiddenSize: number;
  /** Φ: intermediate activations of the merged expert, `[tokens, width]`. */
  readonly activations: Float32Array;
  /** What the group computes less what the merged expert computes, `[tokens, hidden]`. */
  readonly residual: Float32Array;
}

export interface Refit {
  /** To add to the down projection, `[hidden, width]`; undefined where nothing makes the samples better. */
  readonly change: Float32Array | undefined;
  /** The strength that was used; undefined where nothing was changed. */
  readonly ridge: number | undefined;
  /** Sum of squares of the residual before and after. */
  readonly before: number;
  readonly after: number;
}

/**
 * MergeMoE's refit of the down projection (arXiv 2510.14436): W = argmin ‖W Φ − Y‖², as the change Δ of the merged projection with a
 * ridge on Δ: few tokens leave the projection near the plain average, and the residual on the samples never grows. Solved over
 * channels or over tokens, whichever are fewer:
 * Δ = Rᵀ Φ (Φᵀ Φ + λ)⁻¹ = Rᵀ (Φ Φᵀ + λ)⁻¹ Φ.
 * @param ridge relative to the mean square of a channel; where absent the strength that is best on every fourth token, fitted on the
 * others
 */
export async function refitDown(
  samples: RefitSamples,
  product: MatrixProduct,
  ridge: number | undefined,
): Promise<Refit> {
  const before = sumOfSquares(samples.residual);
  const unchanged = { change: undefined, ridge: undefined, before, after: before };
  const chosen = ridge ?? (await heldOutRidge(samples, product));
  if (samples.tokens === 0 || chosen === undefined) {
    return unchanged;
  }
  const change = await new RidgeProblem(samples, product).solve(chosen);
  if (change === undefined) {
    return unchanged;
  }
  const after = sumOfSquares(await remaining(samples, change, product));
  return after < before ? { change, ridge: chosen, before, after } : unchanged;
}

/** The strength with the least error on held-out tokens; undefined where the plain average is better than all of them. */
async function heldOutRidge(samples: RefitSamples, product: MatrixProduct): Promise<number | undefined> {
  const fitted = selected(samples, (token) => token % heldOutEvery !== heldOutEvery - 1);
  const heldOut = selected(samples, (token) => token % heldOutEvery === heldOutEvery - 1);
  if (fitted.tokens === 0 || heldOut.tokens === 0) {
    return undefined;
  }
  const problem = new RidgeProblem(fitted, product);
  let best: number | undefined;
  let least = sumOfSquares(heldOut.residual);
  for (const ridge of ridgeCandidates) {
    const change = await problem.solve(ridge);
    const error = change === undefined ? Infinity : sumOfSquares(await remaining(heldOut, change, product));
    if (error < least) {
      least = error;
      best = ridge;
    }
  }
  return best;
}

/** The normal equations of one set of samples, solved for any ridge. */
class RidgeProblem {
  private readonly overTokens: boolean;
  private gram: Promise<Float32Array> | undefined;

  constructor(
    private readonly samples: RefitSamples,
    private readonly product: MatrixProduct,
  ) {
    this.overTokens = samples.tokens < samples.width;
  }

  /** Δ `[hidden, width]`; undefined where the equations have no solution in float64. */
  async solve(ridge: number): Promise<Float32Array | undefined> {
    const { tokens, width, hiddenSize, activations, residual } = this.samples;
    const { product } = this;
    const size = this.overTokens ? tokens : width;
    const channels = transposed(activations, tokens, width);
    this.gram ??= this.overTokens
      ? product(activations, activations, tokens, width, tokens)
      : product(channels, channels, width, tokens, width);
    const matrix = Float64Array.from(await this.gram);
    const trace = Array.from({ length: size }, (_, at) => matrix[at * (size + 1)]!).reduce((sum, x) => sum + x, 0);
    // The mean over channels in both forms: the traces are the same.
    const strength = (ridge * trace) / width;
    for (let at = 0; at < size; at += 1) {
      matrix[at * (size + 1)]! += strength;
    }
    if (!cholesky(matrix, size)) {
      return undefined;
    }
    const inverse = Float32Array.from(inverseFromCholesky(matrix, size));
    const residualRows = transposed(residual, tokens, hiddenSize);
    if (this.overTokens) {
      const weighted = await product(residualRows, inverse, hiddenSize, tokens, tokens);
      return product(weighted, channels, hiddenSize, tokens, width);
    }
    const correlation = await product(residualRows, channels, hiddenSize, tokens, width);
    return product(correlation, inverse, hiddenSize, width, width);
  }
}

async function remaining(samples: RefitSamples, change: Float32Array, product: MatrixProduct): Promise<Float32Array> {
  const { tokens, width, hiddenSize, activations, residual } = samples;
  const added = await product(activations, change, tokens, width, hiddenSize);
  return residual.map((value, at) => value - added[at]!);
}

function selected(samples: RefitSamples, accepts: (token: number) => boolean): RefitSamples {
  const chosen = Array.from({ length: samples.tokens }, (_, token) => token).filter(accepts);
  const rows = (values: Float32Array, columns: number) => {
    const result = new Float32Array(chosen.length * columns);
    chosen.forEach((token, at) => {
      result.set(values.subarray(token * columns, (token + 1) * columns), at * columns);
    });
    return result;
  };
  return {
    ...samples,
    tokens: chosen.length,
    activations: rows(samples.activations, samples.width),
    residual: rows(samples.residual, samples.hiddenSize),
  };
}

function sumOfSquares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
