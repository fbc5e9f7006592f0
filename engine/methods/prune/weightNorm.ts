import { scoreWeights } from './aimer';
import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** Frobenius norm of all matrices of an expert together; one of the cheap criteria of MC-Suite (arXiv 2504.05586). */
export const weightNorm: PruneMethodOf<'weights'> = {
  name: 'weight-norm',
  title: 'Weight norm',
  explanation: 'Needs no text: keeps the experts with the largest weights.',
  source: 'MC-Suite, arXiv 2504.05586',
  needs: 'weights',
  rank: async (layer) => ranking(await scoreWeights(layer, ({ squares }) => Math.sqrt(squares))),
};
