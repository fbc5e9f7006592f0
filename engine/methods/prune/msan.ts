import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';
import { perToken } from './perToken';

/** Mean squared activation norm: S_e = mean over X_e of ‖f_e(x)‖² (arXiv 2606.15716). */
export const msan: PruneMethodOf<'statistics'> = {
  name: 'msan',
  title: 'Mean squared activation norm (MSAN)',
  explanation: 'As MAN with squared norms: large outputs count more.',
  source: 'arXiv 2606.15716',
  needs: 'statistics',
  rank: ({ sums }) => ranking(perToken(sums.outputNormSquares, sums.counts)),
};
