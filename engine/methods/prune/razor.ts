import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';
import { perToken } from './perToken';

/**
 * Replaceability: S_e = sqrt(mean over X_e of δ²), δ the change of the routed sum when the expert goes, the next best expert takes its
 * place and the gates are recomputed (RAZOR, arXiv 2609.30465).
 */
export const razor: PruneMethodOf<'statistics'> = {
  name: 'razor',
  title: 'Replaceability (RAZOR)',
  explanation: 'Keeps the experts that the next best expert cannot stand in for.',
  source: 'arXiv 2609.30465',
  needs: 'statistics',
  rank: ({ sums }) => ranking(perToken(sums.replacementSquares, sums.counts).map(Math.sqrt)),
};
