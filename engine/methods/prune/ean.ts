import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** Expert activation norm: S_e = sum over X_e of ‖f_e(x)‖, without gates (REAP, arXiv 2510.13999, section 3). */
export const ean: PruneMethodOf<'statistics'> = {
  name: 'ean',
  title: 'Activation norm (EAN)',
  explanation: 'Keeps the experts whose outputs have the largest summed norm.',
  source: 'arXiv 2510.13999',
  needs: 'statistics',
  rank: ({ sums }) => ranking(sums.outputNorms),
};
