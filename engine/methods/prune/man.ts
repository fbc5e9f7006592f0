import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';
import { perToken } from './perToken';

/** Mean activation norm: S_e = mean over X_e of ‖f_e(x)‖ (arXiv 2606.15716). */
export const man: PruneMethodOf<'statistics'> = {
  name: 'man',
  title: 'Mean activation norm (MAN)',
  explanation: 'Keeps the experts with the largest mean output norm, however rarely they are chosen.',
  source: 'arXiv 2606.15716',
  needs: 'statistics',
  rank: ({ sums }) => ranking(perToken(sums.outputNorms, sums.counts)),
};
