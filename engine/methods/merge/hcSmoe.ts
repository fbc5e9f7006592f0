import type { LayerStatistics } from '../statistics';
import { hierarchicalClusters, rowDistances } from './hierarchicalClustering';
import { byScore, type MergeMethod, type MergeTask } from './method';

/**
 * HC-SMoE (arXiv 2410.08589, §3.2): clusters of experts whose mean outputs over all tokens, chosen or not, are near each other:
 * Euclidean distance, average linkage.
 */
export function clustersOfOutputs(layer: LayerStatistics, { experts, count }: MergeTask): number[][] {
  const { hiddenSize } = layer;
  const outputs = new Float32Array(experts.length * hiddenSize);
  experts.forEach((expert, at) => {
    const { meanOutputs } = layer.dense!;
    outputs.set(meanOutputs.subarray(expert * hiddenSize, (expert + 1) * hiddenSize), at * hiddenSize);
  });
  const distances = rowDistances(outputs, experts.length, hiddenSize);
  const clusters = hierarchicalClusters(distances, experts.length, count, 'average');
  return clusters.map((cluster) =>
    byScore(
      cluster.map((at) => experts[at]!),
      layer.total.counts,
    ),
  );
}

/** HC-SMoE: the weights of a cluster's members are averaged by how often they are used. */
export const hcSmoe: MergeMethod = {
  name: 'hc-smoe',
  title: 'HC-SMoE',
  explanation: 'Experts with similar mean outputs are clustered step by step; weighted by usage.',
  source: 'arXiv 2410.08589',
  needs: 'dense-outputs',
  defaults: { alignment: 'none' },
  group: clustersOfOutputs,
  weights: ({ total }) => total.counts,
};
