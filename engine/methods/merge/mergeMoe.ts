import type { MergeMethod } from './method';
import { aroundMostUsed } from './mSmoe';

/**
 * MergeMoE (arXiv 2510.14436): the merged expert approximates the sum of its members' outputs. Gate and up projections are averaged
 * by usage after matching channels; the down projection is then fitted by least squares to what the members compute on sampled
 * tokens. The most used experts are the heads of the groups, the others join the one whose outputs are most like theirs (cosine, mean
 * over all tokens).
 */
export const mergeMoe: MergeMethod = {
  name: 'mergemoe',
  title: 'MergeMoE',
  explanation:
    'Experts join the frequent one with the most similar outputs; its down projection is refitted by least squares.',
  source: 'arXiv 2510.14436',
  needs: 'dense-outputs',
  defaults: { alignment: 'weights', refit: 'routed' },
  group(layer, task) {
    const { cosines } = layer.dense!;
    return aroundMostUsed(layer, task, (expert, head) => cosines[expert * layer.experts + head]!);
  },
  weights: ({ total }) => total.counts,
};
