import { assertLimits, groupHasRoom } from './keepBest';
import type { KeepLimits, PruneMethodOf, ReconstructedLayer } from './method';

/** Sets of experts up to which all are tried. */
const exhaustiveSets = 256;

/**
 * Reconstruction (NAEE, arXiv 2402.14800): the set of experts with which the block's output stays nearest to the original one on stored
 * inputs, the router choosing anew among those that are left. All sets are tried where there are few (the paper's 8 experts);
 * otherwise experts go one by one, each time the one whose absence costs least. Losses are taken to grow as experts go, so that only
 * the most promising are evaluated again (lazy greedy). Scores are the loss when the expert alone goes.
 */
export const naee: PruneMethodOf<'reconstruction'> = {
  name: 'naee',
  title: 'Reconstruction (NAEE)',
  explanation: 'Tries sets of experts on stored inputs and keeps the one that changes the output of the layer least.',
  source: 'arXiv 2402.14800',
  needs: 'reconstruction',
  async rank(layer) {
    const everyone = Array.from({ length: layer.experts }, (_, expert) => expert);
    const scores: number[] = [];
    for (const expert of everyone) {
      scores.push(await layer.loss(everyone.filter((other) => other !== expert)));
    }
    return {
      scores,
      async keep(limits) {
        assertLimits(layer.experts, limits);
        const sets = keptSets(layer.experts, limits, exhaustiveSets);
        return sets === undefined ? eliminate(layer, scores, limits) : bestSet(layer, sets);
      },
      damage: async (keep) => (await layer.loss(keep)) ** 2,
    };
  },
};

/** All sets of experts that respect the limits, or undefined when there are more than `most`. */
export function keptSets(experts: number, limits: KeepLimits, most: number): number[][] | undefined {
  let partial: number[][] = [[]];
  for (let expert = 0; expert < experts; expert += 1) {
    const next: number[][] = [];
    for (const kept of partial) {
      const left = experts - expert - 1;
      if (!limits.pinned.has(expert) && kept.length + left >= limits.count) {
        next.push(kept);
      }
      if (kept.length < limits.count && groupHasRoom(kept, expert, experts, limits)) {
        next.push([...kept, expert]);
      }
    }
    // Every partial set can be completed unless groups end up short, so this bounds the work as well.
    if (next.length > 64 * most) {
      return undefined;
    }
    partial = next;
  }
  const size = experts / limits.groups;
  const complete = partial.filter(
    (kept) =>
      kept.length === limits.count &&
      Array.from({ length: limits.groups }, (_, group) => group).every(
        (group) => kept.filter((expert) => Math.floor(expert / size) === group).length === limits.count / limits.groups,
      ),
  );
  return complete.length > most ? undefined : complete;
}

async function bestSet(layer: ReconstructedLayer, sets: readonly (readonly number[])[]): Promise<readonly number[]> {
  let best = { keep: sets[0]!, loss: Infinity };
  for (const keep of sets) {
    const loss = await layer.loss(keep);
    if (loss < best.loss) {
      best = { keep, loss };
    }
  }
  return best.keep;
}

/** Lazy greedy elimination. `single` are the losses when one expert alone goes: the first bounds. */
async function eliminate(
  layer: ReconstructedLayer,
  single: readonly number[],
  { count, pinned, groups }: KeepLimits,
): Promise<number[]> {
  const size = layer.experts / groups;
  const inGroup = new Array<number>(groups).fill(size);
  const bounds = [...single];
  let kept = Array.from({ length: layer.experts }, (_, expert) => expert);
  while (kept.length > count) {
    const fresh = new Set<number>();
    const canGo = kept.filter((expert) => !pinned.has(expert) && inGroup[Math.floor(expert / size)]! > count / groups);
    for (;;) {
      const candidate = canGo.reduce((best, expert) => (bounds[expert]! < bounds[best]! ? expert : best));
      if (fresh.has(candidate)) {
        kept = kept.filter((expert) => expert !== candidate);
        inGroup[Math.floor(candidate / size)]! -= 1;
        break;
      }
      bounds[candidate] = await layer.loss(kept.filter((expert) => expert !== candidate));
      fresh.add(candidate);
    }
  }
  return kept;
}
