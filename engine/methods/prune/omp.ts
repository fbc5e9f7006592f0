import { assertLimits, groupHasRoom } from './keepBest';
import type { KeepLimits, PruneMethodOf } from './method';
import { pairStatistics, pairSum, withoutKept } from './pairMatrices';

/**
 * Matching pursuit (OMP-MoE, arXiv 2609.31631): with contributions V_e = g f_e(x) over all tokens and residual R = Y, the expert of the
 * largest gain 2 <R, V_e> - ‖V_e‖² is added and R -= V_e, until enough are kept. Only the Gram matrix C_ij = V_i · V_j is needed:
 * <Y, V_e> is the row sum of C. The gain is the drop of ‖R‖²; scores are the gains in the order of choice, made non-increasing.
 * Damage of a set: ‖Y - sum of its V_e‖² / ‖Y‖²; the paper's coverage term is left out.
 */
export const omp: PruneMethodOf<'statistics'> = {
  name: 'omp',
  title: 'Matching pursuit (OMP-MoE)',
  explanation: 'Adds expert by expert what explains most of the output that is still missing.',
  source: 'arXiv 2609.31631',
  needs: 'statistics',
  rank(layer) {
    const { experts } = layer;
    const { contributionGram } = pairStatistics(layer, 'omp');
    const all = pursue(contributionGram, experts, { count: experts, pinned: new Set(), groups: 1 });
    const scores = new Array<number>(experts).fill(0);
    let least = Infinity;
    for (const { expert, gain } of all) {
      least = Math.min(least, gain);
      scores[expert] = least;
    }
    return {
      scores,
      keep: (limits) =>
        pursue(contributionGram, experts, limits)
          .map(({ expert }) => expert)
          .sort(ascending),
      damage: (keep) => missingShare(contributionGram, experts, keep),
    };
  },
};

/** Experts in the order of choice, with the drop of the squared residual that each brought. Pinned ones come first. */
export function pursue(
  gram: ArrayLike<number>,
  experts: number,
  limits: KeepLimits,
): { readonly expert: number; readonly gain: number }[] {
  assertLimits(experts, limits);
  // <R, V_e> for the present residual.
  const products = Float64Array.from({ length: experts }, (_, expert) => {
    let sum = 0;
    for (let other = 0; other < experts; other += 1) {
      sum += gram[expert * experts + other]!;
    }
    return sum;
  });
  const chosen: { expert: number; gain: number }[] = [];
  const kept: number[] = [];
  while (kept.length < limits.count) {
    const pinnedLeft = [...limits.pinned].some((expert) => !kept.includes(expert));
    let best = -1;
    let bestGain = -Infinity;
    for (let expert = 0; expert < experts; expert += 1) {
      const allowed = pinnedLeft ? limits.pinned.has(expert) : groupHasRoom(kept, expert, experts, limits);
      const gain = 2 * products[expert]! - gram[expert * experts + expert]!;
      if (allowed && !kept.includes(expert) && gain > bestGain) {
        best = expert;
        bestGain = gain;
      }
    }
    chosen.push({ expert: best, gain: bestGain });
    kept.push(best);
    for (let other = 0; other < experts; other += 1) {
      products[other]! -= gram[best * experts + other]!;
    }
  }
  return chosen;
}

/** ‖sum of the contributions that go‖² / ‖Y‖², before the router chooses anew; 0 for a layer without output. */
export function missingShare(gram: ArrayLike<number>, experts: number, keep: readonly number[]): number {
  const everything = pairSum(gram, experts, withoutKept(experts, []));
  return everything > 0 ? Math.max(0, pairSum(gram, experts, withoutKept(experts, keep))) / everything : 0;
}

function ascending(left: number, right: number): number {
  return left - right;
}
