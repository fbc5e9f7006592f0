import { cosinesOf } from './hierarchicalClustering';
import type { LayerStatistics } from '../statistics';
import { byScore, type MergeMethod, type MergeTask } from './method';

/**
 * M-SMoE (arXiv 2310.01334, §3.1-3.2): the most used experts stay, every other one joins the one whose router logits are most like
 * its own over the tokens (cosine); members are matched channel by channel and averaged by how often they are used.
 */
export const mSmoe: MergeMethod = {
  name: 'm-smoe',
  title: 'M-SMoE',
  explanation: 'Rarely used experts join the frequent expert with the most similar router logits; weighted by usage.',
  source: 'arXiv 2310.01334',
  needs: 'sums',
  defaults: { alignment: 'weights' },
  group(layer, task) {
    const cosines = cosinesOf(layer.logitProducts, layer.experts);
    return aroundMostUsed(layer, task, (expert, other) => cosines[expert * layer.experts + other]!);
  },
  weights: ({ total }) => total.counts,
};

/** The most used experts as heads; every other expert, the most used first, joins the head that is most similar to it. */
export function aroundMostUsed(
  layer: LayerStatistics,
  { experts, count }: MergeTask,
  similarity: (expert: number, head: number) => number,
): number[][] {
  const ordered = byScore(experts, layer.total.counts);
  const groups = ordered.slice(0, count).map((head) => [head]);
  for (const expert of ordered.slice(count)) {
    let best = groups[0]!;
    for (const group of groups) {
      if (similarity(expert, group[0]!) > similarity(expert, best[0]!)) {
        best = group;
      }
    }
    best.push(expert);
  }
  return groups;
}

/**
 * How many dominant experts every layer has when they are chosen over all layers together, as M-SMoE does: by the use of an expert
 * relative to the most used expert of its layer, so that every layer keeps at least one.
 * @param counts how often the experts of every layer were chosen
 * @param total dominant experts of all layers
 * @param least fewest per layer
 * @param most most per layer
 */
export function dominantCounts(
  counts: readonly (readonly number[])[],
  total: number,
  least: readonly number[],
  most: readonly number[],
): number[] {
  const chosen = [...least];
  const candidates = counts.flatMap((own, layer) => {
    const largest = Math.max(...own);
    const relative = own.map((count) => (largest > 0 ? count / largest : 0)).sort((a, b) => b - a);
    return relative.slice(least[layer], most[layer]).map((share) => ({ layer, share }));
  });
  candidates.sort((left, right) => right.share - left.share || left.layer - right.layer);
  const free = total - least.reduce((sum, count) => sum + count, 0);
  for (const { layer } of candidates.slice(0, Math.max(0, free))) {
    chosen[layer]! += 1;
  }
  return chosen;
}
