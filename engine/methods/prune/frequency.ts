import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** How often an expert was chosen: S_e = |X_e|. One-shot form of SEER-MoE's hard counts (arXiv 2404.05089). */
export const frequency: PruneMethodOf<'statistics'> = {
  name: 'frequency',
  title: 'Frequency',
  explanation: 'Keeps the experts that the router chose most often.',
  source: 'SEER-MoE, arXiv 2404.05089',
  needs: 'statistics',
  rank: ({ sums }) => ranking(sums.counts),
};
