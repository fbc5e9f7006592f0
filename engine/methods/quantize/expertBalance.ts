import type { InputMoments } from './hessian';
import type { ExpertMoments } from './quantizers';

/** Fewest tokens that error compensation may be calibrated on: with fewer, an expert is rounded to nearest and reported. */
const fewestTokens = 16;

/**
 * Tokens every expert should be calibrated on, as a multiple of its even share of the text (`expert_token_num_ratio` of EAQuant,
 * arXiv 2506.13329, is 2.0; text is fixed here, so the even share itself is asked for).
 */
const balanceRatio = 1;

/** Moments of all tokens of a layer that chose any expert, per token. */
export interface LayerMoments {
  readonly input: Float64Array;
  readonly tokens: number;
}

/** Sums the input moments of all experts of a layer. */
export async function layerMoments(experts: AsyncIterable<ExpertMoments>): Promise<LayerMoments> {
  let input: Float64Array | undefined;
  let tokens = 0;
  for await (const one of experts) {
    input ??= new Float64Array(one.input.moments.length);
    for (let at = 0; at < input.length; at += 1) {
      input[at]! += one.input.moments[at]!;
    }
    tokens += one.input.tokens;
  }
  return { input: input ?? new Float64Array(0), tokens };
}

/**
 * Expert-balanced calibration (EAQuant's EA-CDB for a fixed text): an expert with less than its even share of tokens borrows what is
 * missing from the average token of the layer. Only the inputs of gate and up can be borrowed; those of down are the expert's own.
 */
export function balancedMoments(own: ExpertMoments, layer: LayerMoments, experts: number): ExpertMoments {
  const share = (balanceRatio * layer.tokens) / experts;
  const missing = share - own.input.tokens;
  if (missing <= 0 || layer.tokens === 0) {
    return own;
  }
  const weight = missing / layer.tokens;
  const moments = own.input.moments.map((value, at) => value + weight * layer.input[at]!);
  return { ...own, input: { ...own.input, moments } };
}

/** The moments, or undefined where too few tokens chose the expert. */
export function coverage<Moments extends { readonly input: InputMoments }>(moments: Moments): Moments | undefined {
  return moments.input.tokens >= fewestTokens ? moments : undefined;
}
