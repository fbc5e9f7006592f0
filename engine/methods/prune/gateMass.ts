import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** Sum of the gates an expert got: S_e = sum over X_e of g. One-shot form of SEER-MoE's soft counts (arXiv 2404.05089). */
export const gateMass: PruneMethodOf<'statistics'> = {
  name: 'gate-mass',
  title: 'Gate mass',
  explanation: 'Keeps the experts with the largest sum of gates.',
  source: 'SEER-MoE, arXiv 2404.05089',
  needs: 'statistics',
  rank: ({ sums }) => ranking(sums.gates),
};
