import { completeLinkage } from './completeLinkage';
import { assertLimits } from './keepBest';
import type { KeepLimits, PruneMethodOf, WeighedLayer } from './method';
import { rowNorms } from './routerNorm';

/**
 * Behaviour clusters (stage 1 of STUN, arXiv 2409.06211, in its data-free setting λ1 = 1, λ2 = 0): experts whose router rows are near
 * are taken to behave alike; complete-linkage clustering to as many clusters as experts stay; of each cluster the member nearest to the
 * mean weight stays. In a cluster of two both are equally near, and the one with the larger router row stays. The paper's averaging of
 * small clusters is merging, and not done here. Its second stage zeroes single weights inside the experts that stay (Wanda or OWL): that
 * is left out, because a dense checkpoint is no smaller and no faster for it in any target here. Scores are the distance to the nearest
 * other router row.
 */
export const stun: PruneMethodOf<'weights'> = {
  name: 'stun',
  title: 'Behaviour clusters (STUN)',
  explanation:
    'Needs no text: of experts with alike router rows the most typical stays. Zeros inside experts save nothing here: left out.',
  source: 'arXiv 2409.06211',
  needs: 'weights',
  async rank(layer) {
    const { experts } = layer;
    const rows = await layer.routerRows();
    const distances = rowDistances(rows, experts);
    const norms = rowNorms(rows, experts);
    return {
      scores: Array.from({ length: experts }, (_, expert) =>
        Math.min(
          ...Array.from({ length: experts }, (_, other) =>
            other === expert ? Infinity : distances[expert * experts + other]!,
          ),
        ),
      ),
      async keep(limits) {
        const kept: number[] = [];
        for (const cluster of behaviourClusters(distances, experts, limits)) {
          kept.push(await representative(layer, cluster, norms));
        }
        return kept.sort((left, right) => left - right);
      },
    };
  },
};

/** Clusters inside the router's groups; pinned experts stay alone. */
export function behaviourClusters(distances: ArrayLike<number>, experts: number, limits: KeepLimits): number[][] {
  assertLimits(experts, limits);
  const size = experts / limits.groups;
  return Array.from({ length: limits.groups }, (_, group) => {
    const local = Float64Array.from(
      { length: size * size },
      (_, at) => distances[(group * size + Math.floor(at / size)) * experts + group * size + (at % size)]!,
    );
    const isPinned = (member: number) => limits.pinned.has(group * size + member);
    return completeLinkage(
      local,
      size,
      limits.count / limits.groups,
      (left, right) => !isPinned(left) && !isPinned(right),
    ).map((cluster) => cluster.map((member) => group * size + member));
  }).flat();
}

/** The member nearest to the mean of the cluster's weights, in two passes so that two experts at most are in memory. */
async function representative(
  layer: WeighedLayer,
  cluster: readonly number[],
  rowNorm: readonly number[],
): Promise<number> {
  if (cluster.length <= 2) {
    return cluster.reduce((best, expert) => (rowNorm[expert]! > rowNorm[best]! ? expert : best));
  }
  const mean = (await layer.expertWeights(cluster[0]!)).map((matrix) => new Float64Array(matrix.length));
  for (const expert of cluster) {
    const matrices = await layer.expertWeights(expert);
    mean.forEach((target, which) => {
      const matrix = matrices[which]!;
      for (let at = 0; at < target.length; at += 1) {
        target[at]! += matrix[at]! / cluster.length;
      }
    });
  }
  let best = { expert: cluster[0]!, distance: Infinity };
  for (const expert of cluster) {
    const matrices = await layer.expertWeights(expert);
    const distance = mean.reduce((sum, centre, which) => sum + squaredDistance(centre, matrices[which]!), 0);
    if (distance < best.distance) {
      best = { expert, distance };
    }
  }
  return best.expert;
}

/** Euclidean distances of the rows of `[rows, columns]`, `[rows, rows]`. */
export function rowDistances(values: Float32Array, rows: number): Float64Array {
  const columns = values.length / rows;
  const row = (at: number) => values.subarray(at * columns, (at + 1) * columns);
  return Float64Array.from({ length: rows * rows }, (_, at) =>
    Math.sqrt(squaredDistance(row(Math.floor(at / rows)), row(at % rows))),
  );
}

function squaredDistance(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < left.length; at += 1) {
    const difference = left[at]! - right[at]!;
    sum += difference * difference;
  }
  return sum;
}
