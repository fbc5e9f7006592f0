import type { PruneMethodOf } from './method';
import { pairStatistics } from './pairMatrices';
import { minimiseQuadratic } from './quadraticChoice';

/**
 * Joint damage of the experts that go (HOPE, arXiv 2609.18916): with a_{t,e} = g ‖f_e(x)‖ and F_ij the mean of a_i a_j over the tokens that
 * chose both (0 when none did), minimise pᵀ F p over the indicators p of sets of the asked size. The paper relaxes and rounds with
 * SLSQP; here rounding is followed by swaps. Scores are the row sums of F: what an expert costs together with all others.
 */
export const hope: PruneMethodOf<'statistics'> = {
  name: 'hope',
  title: 'Joint contributions (HOPE)',
  explanation: 'Lets experts go that rarely matter together: pairs that work on the same tokens are weighed jointly.',
  source: 'arXiv 2609.18916',
  needs: 'statistics',
  rank(layer) {
    const { experts } = layer;
    const { contributionProducts, coactivation } = pairStatistics(layer, 'hope');
    const matrix = jointContributions(contributionProducts, coactivation);
    return {
      scores: Array.from({ length: experts }, (_, expert) =>
        matrix.subarray(expert * experts, (expert + 1) * experts).reduce((sum, value) => sum + value, 0),
      ),
      keep: (limits) => minimiseQuadratic(matrix, experts, limits),
    };
  },
};

/** Mean of a_i a_j over the tokens that chose both i and j, `[experts, experts]`. */
export function jointContributions(products: Float64Array, coactivation: Float64Array): Float64Array {
  return products.map((sum, at) => (coactivation[at]! > 0 ? sum / coactivation[at]! : 0));
}
