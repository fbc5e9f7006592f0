import type { JobContext } from '../measure/jobContext';
import { fewestExperts, raggedCounts, type PrunableLayer } from '../methods/prune/keptCounts';
import { layerChoices, type LayerChoices } from '../methods/prune/layerChoices';
import type { PruneMethod } from '../methods/prune/method';
import { selectPairs } from '../methods/prune/selectSums';
import { rankLayer, type RankingSources } from './pruneRankings';

/** What one method decides. */
export interface PrunedLayers {
  /** Experts that stay per MoE layer, ascending. */
  readonly keep: number[][];
  /** Score of every expert per MoE layer. */
  readonly scores: number[][];
}

export interface PruneTarget {
  readonly layers: readonly PrunableLayer[];
  /** Experts that stay per MoE layer where all keep the same share. */
  readonly counts: readonly number[];
  /** Whether layers may differ with the same total. */
  readonly ragged: boolean;
}

/**
 * The experts that stay by one method. Layers are ranked one after the other; what a method reads of a layer is gone before the next.
 * @throws TunerError `usage` where the method lacks what it needs or has no signal, `infeasibleBudget`, `cancelled`
 */
export async function pruneBy(
  method: PruneMethod,
  target: PruneTarget,
  sources: RankingSources,
  seed: number,
  job: JobContext,
): Promise<PrunedLayers> {
  const choices: LayerChoices[] = [];
  for (const [position, layer] of target.layers.entries()) {
    job.progress(position / target.layers.length, `${method.title}: layer ${position + 1} of ${target.layers.length}`);
    const ranking = await rankLayer(method, position, { ...sources, job }, seed);
    const limits = { pinned: layer.pinned, groups: layer.groups?.count ?? 1 };
    const counts = target.ragged ? possibleCounts(layer) : [target.counts[position]!];
    const statistics = sources.statistics?.layers[position];
    const pairs = statistics === undefined ? undefined : selectPairs(statistics, sources.tags);
    choices.push(await layerChoices(ranking, counts, limits, pairs));
  }
  const total = target.counts.reduce((sum, count) => sum + count, 0);
  const counts = target.ragged
    ? await raggedCounts(target.layers, total, (position, count) =>
        Promise.resolve(choices[position]!.damage.get(count)!),
      )
    : target.counts;
  return {
    keep: choices.map(({ keep }, position) => [...keep.get(counts[position]!)!]),
    scores: choices.map(({ scores }) => [...scores]),
  };
}

function possibleCounts(layer: PrunableLayer): number[] {
  const unit = layer.groups?.count ?? 1;
  const fewest = fewestExperts(layer);
  return Array.from({ length: (layer.experts - fewest) / unit + 1 }, (_, step) => fewest + step * unit);
}
