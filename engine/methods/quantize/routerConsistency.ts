import {
  dequantize,
  emptyQuantized,
  roundScale,
  type CodeBits,
  type Matrix,
  type QuantizedMatrix,
} from './quantizedMatrix';
import { encodeGroup, roundToNearest } from './roundToNearest';

/** Scales that are tried, as shares of the one that clips nothing. */
const shares = Array.from({ length: 11 }, (_, at) => 1 - at * 0.05);

/** Share of the experts that are not chosen whose probabilities count as well. */
const extraShare = 0.25;

/** What a rounded router does to the choice of experts on some inputs. */
export interface RouterDeviation {
  /** Mean squared error of the logits. */
  readonly logitError: number;
  /** Mean KL divergence over the probabilities of the leading experts, in nats per token. */
  readonly leadingDivergence: number;
}

/** Inputs of a router, `[tokens, hidden]`, and its logits with weights in full, `[tokens, experts]`. */
export interface RouterSample {
  readonly inputs: Float32Array;
  readonly logits: Float32Array;
  readonly experts: number;
  readonly activeExperts: number;
}

/** Experts whose probabilities count: the active ones and a share of the others, m = k + ⌊a (E - k)⌋. */
export function leadingExperts(experts: number, activeExperts: number): number {
  return activeExperts + Math.floor(extraShare * (experts - activeExperts));
}

/**
 * Router-consistent rounding (EAQuant, arXiv 2506.13329, "router logits distribution alignment"): of rounding grids of different width,
 * the one with the least MSE(logits) + KL over the top-m probabilities is taken. The whole router has one share, so the choice is
 * between eleven candidates; the first of them is rounding to nearest, so the sum is never larger than with that.
 */
export function consistentRouter(
  weight: Matrix,
  { bits, group }: { readonly bits: CodeBits; readonly group: number },
  sample: RouterSample,
): { readonly matrix: QuantizedMatrix; readonly deviation: RouterDeviation } {
  let best: { matrix: QuantizedMatrix; deviation: RouterDeviation } | undefined;
  for (const share of shares) {
    const matrix = narrowed(weight, roundToNearest(weight, { bits, group, symmetric: true }), share);
    const deviation = routerDeviation(dequantize(matrix), sample);
    if (best === undefined || total(deviation) < total(best.deviation)) {
      best = { matrix, deviation };
    }
  }
  return best!;
}

function total({ logitError, leadingDivergence }: RouterDeviation): number {
  return logitError + leadingDivergence;
}

/** The same rounding with all scales made smaller, so that the largest weights are clipped. */
function narrowed({ values }: Matrix, full: QuantizedMatrix, share: number): QuantizedMatrix {
  const { rows, columns, bits, group } = full;
  const result = emptyQuantized(rows, columns, full);
  const middle = 2 ** (bits - 1);
  for (let inGroup = 0, start = 0; start < values.length; inGroup += 1, start += group) {
    const scale = roundScale(full.scales[inGroup]! * share);
    result.scales[inGroup] = scale;
    encodeGroup(values, start, group, scale, middle, 2 * middle - 1, result.codes);
  }
  return result;
}

/** What other weights `[experts, hidden]` do to the logits of a sample. */
export function routerDeviation(weights: Float32Array, sample: RouterSample): RouterDeviation {
  const { inputs, logits, experts, activeExperts } = sample;
  const changed = routerLogits(weights, inputs, experts);
  const tokens = logits.length / experts;
  const leading = leadingExperts(experts, activeExperts);
  let [error, divergence] = [0, 0];
  for (let token = 0; token < tokens; token += 1) {
    const [before, after] = [logits, changed].map((all) => all.subarray(token * experts, (token + 1) * experts));
    for (let expert = 0; expert < experts; expert += 1) {
      error += (before![expert]! - after![expert]!) ** 2;
    }
    divergence += leadingKl(before!, after!, leading);
  }
  return { logitError: error / logits.length, leadingDivergence: divergence / tokens };
}

/** `inputs · weightsᵀ`, `[tokens, experts]`. */
export function routerLogits(weights: Float32Array, inputs: Float32Array, experts: number): Float32Array {
  const hidden = weights.length / experts;
  const logits = new Float32Array((inputs.length / hidden) * experts);
  for (let at = 0; at < logits.length; at += 1) {
    const [token, expert] = [Math.floor(at / experts), at % experts];
    let sum = 0;
    for (let channel = 0; channel < hidden; channel += 1) {
      sum += inputs[token * hidden + channel]! * weights[expert * hidden + channel]!;
    }
    logits[at] = sum;
  }
  return logits;
}

/**
 * KL divergence of the probabilities of the experts that lead before rounding, renormalised over them: never negative, and zero where
 * the logits of these differ by a constant.
 */
export function leadingKl(before: ArrayLike<number>, after: ArrayLike<number>, leading: number): number {
  const order = Array.from({ length: before.length }, (_, expert) => expert)
    .sort((left, right) => before[right]! - before[left]!)
    .slice(0, leading);
  const logSum = (logits: ArrayLike<number>) => {
    const most = Math.max(...order.map((expert) => logits[expert]!));
    return most + Math.log(order.reduce((sum, expert) => sum + Math.exp(logits[expert]! - most), 0));
  };
  const [sumBefore, sumAfter] = [logSum(before), logSum(after)];
  return order.reduce((sum, expert) => {
    const [left, right] = [before[expert]! - sumBefore, after[expert]! - sumAfter];
    return sum + Math.exp(left) * (left - right);
  }, 0);
}
