import { clustersOfOutputs } from './hcSmoe';
import type { MergeMethod } from './method';

/**
 * MergeMoE (arXiv 2510.14436): the merged expert approximates the sum of its members' outputs. Gate and up projections are averaged
 * by usage after matching channels; the down projection is then fitted by least squares to what the members compute on sampled
 * tokens. Groups are those of HC-SMoE.
 */
export const mergeMoe: MergeMethod = {
  name: 'mergemoe',
  title: 'MergeMoE',
  explanation: 'Clusters of similar outputs; the down projection of each is refitted to its members by least squares.',
  source: 'arXiv 2510.14436',
  needs: 'dense-outputs',
  defaults: { alignment: 'weights', refit: 'routed' },
  group: clustersOfOutputs,
  weights: ({ total }) => total.counts,
};
