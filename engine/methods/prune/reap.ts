import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';
import { perToken } from './perToken';

/** Router-weighted expert activation: S_e = mean over X_e of g ‖f_e(x)‖ (REAP, arXiv 2510.13999, equation for saliency). */
export const reap: PruneMethodOf<'statistics'> = {
  name: 'reap',
  title: 'Router-weighted activation (REAP)',
  explanation: 'Keeps the experts whose gated output is largest on the tokens that chose them.',
  source: 'arXiv 2510.13999',
  needs: 'statistics',
  rank: ({ sums }) => ranking(perToken(sums.contributionNorms, sums.counts)),
};
