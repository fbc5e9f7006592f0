import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** S_e = sum over X_e of g ‖f_e(x)‖ · max(0, 1 - cos(h, h + y)): tokens that the block turns count (EASY-EP, arXiv 2504.06792). */
export const easyEp: PruneMethodOf<'statistics'> = {
  name: 'easy-ep',
  title: 'Output-aware and token-aware (EASY-EP)',
  explanation: 'Keeps the experts with large gated outputs on tokens that the block changes most; made for one domain.',
  source: 'arXiv 2504.06792',
  needs: 'statistics',
  rank: ({ sums }) => ranking(sums.shiftedContributionNorms),
};
