import type { PairSums } from '../statistics';
import type { KeepLimits, LayerRanking } from './method';
import { missingShare } from './omp';

/** One layer with the experts that would stay for each number of them. */
export interface LayerChoices {
  readonly scores: readonly number[];
  /** Experts that stay, ascending, by their number. */
  readonly keep: ReadonlyMap<number, readonly number[]>;
  /** Predicted damage by the number of experts that stay; comparable between layers. */
  readonly damage: ReadonlyMap<number, number>;
}

/**
 * Applies a ranking for every number of experts that may stay. Damage is the method's own prediction; else the share of the layer's
 * squared output that the experts that go contributed, where calibration measured it on the texts to rank by; else the share of the scores that go.
 */
export async function layerChoices(
  ranking: LayerRanking,
  counts: readonly number[],
  limits: Omit<KeepLimits, 'count'>,
  pairs: PairSums | undefined,
): Promise<LayerChoices> {
  const keep = new Map<number, readonly number[]>();
  const damage = new Map<number, number>();
  for (const count of counts) {
    const kept = await ranking.keep({ ...limits, count });
    keep.set(count, kept);
    if (counts.length > 1) {
      damage.set(count, await predictedDamage(ranking, kept, pairs));
    }
  }
  return { scores: ranking.scores, keep, damage };
}

async function predictedDamage(
  ranking: LayerRanking,
  keep: readonly number[],
  pairs: PairSums | undefined,
): Promise<number> {
  if (ranking.damage !== undefined) {
    return ranking.damage(keep);
  }
  if (pairs !== undefined) {
    return missingShare(pairs.contributionGram, ranking.scores.length, keep);
  }
  const least = Math.min(...ranking.scores);
  const above = ranking.scores.map((score) => score - least);
  const all = above.reduce((sum, score) => sum + score, 0);
  return all > 0 ? 1 - keep.reduce((sum, expert) => sum + above[expert]!, 0) / all : 0;
}
