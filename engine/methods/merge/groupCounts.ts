import { TunerError } from '../../protocol/errors';
import { fewestExperts, type PrunableLayer } from '../prune/keptCounts';

/**
 * Groups that every layer is left with for a ratio of experts that go: the same share everywhere, rounded to whole experts; rounded
 * up to whole groups where the router chooses among groups.
 * @throws TunerError `infeasibleBudget` where fewer would be left than the router needs
 */
export function groupCounts(layers: readonly PrunableLayer[], ratio: number): number[] {
  return layers.map((layer) => {
    const unit = layer.groups?.count ?? 1;
    const count = unit * Math.ceil((layer.experts - Math.round(ratio * layer.experts)) / unit);
    const fewest = fewestGroups(layer);
    if (count < fewest) {
      const possible = Math.floor((1000 * (layer.experts - fewest)) / layer.experts) / 1000;
      throw new TunerError(
        'infeasibleBudget',
        `Decoder layer ${layer.index} would be left with ${count} of ${layer.experts} experts, but needs ${fewest}.`,
        {
          place: '--ratio',
          wayOut: `Choose a ratio of at most ${possible}${layer.pinned.size >= layer.activeExperts ? ', or allow experts with extreme activations to be merged with --merge-super-experts' : ''}.`,
        },
      );
    }
    return count;
  });
}

/** Fewest groups of a layer: what its router needs, and one more than the experts that are merged with nothing. */
export function fewestGroups(layer: PrunableLayer): number {
  const unit = layer.groups?.count ?? 1;
  const size = layer.experts / unit;
  const alone = Array.from(
    { length: unit },
    (_, group) => [...layer.pinned].filter((expert) => Math.floor(expert / size) === group).length,
  );
  const perGroup = Math.max(...alone.map((pinned) => Math.min(size, pinned + 1)));
  return Math.max(fewestExperts(layer), alone.some((pinned) => pinned > 0) ? unit * perGroup : 1);
}
