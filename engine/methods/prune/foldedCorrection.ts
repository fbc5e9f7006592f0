import type { RouterSpec } from '../../families/specification';
import type { ExpertSums } from '../statistics';

/**
 * Whether the gates of the experts that stay grow when router rows go: softmax over all experts whose values are the gates as they are
 * (OLMoE, Qwen1.5-MoE, DeepSeek-V2). Routers that divide by the sum of the chosen, or use sigmoids, keep their gates.
 */
export function gatesInflate(router: RouterSpec): boolean {
  return router.score === 'softmax' && router.gates.kind === 'score' && router.sparseMixer === undefined;
}

/**
 * Factor on the routed output that undoes this on average: the mean over tokens of the softmax mass of the experts that stay. Each gate is
 * p_e / (mass of those that stay) after the rows are gone, and p_e before.
 */
export function retainedMass({ probabilities, tokens }: ExpertSums, keep: readonly number[]): number {
  const mass = keep.reduce((sum, expert) => sum + probabilities[expert]!, 0);
  return tokens > 0 && mass > 0 ? Math.min(1, mass / tokens) : 1;
}
