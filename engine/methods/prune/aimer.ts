import { ranking } from './keepBest';
import type { PruneMethodOf, WeighedLayer } from './method';

/** Sums over all weights of an expert. */
export interface WeightSums {
  readonly count: number;
  /** Σ |w|. */
  readonly magnitudes: number;
  /** Σ w². */
  readonly squares: number;
}

/** @param matrices all matrices of one expert */
export function weightSums(matrices: readonly Float32Array[]): WeightSums {
  let count = 0;
  let magnitudes = 0;
  let squares = 0;
  for (const values of matrices) {
    count += values.length;
    for (let at = 0; at < values.length; at += 1) {
      const value = values[at]!;
      magnitudes += Math.abs(value);
      squares += value * value;
    }
  }
  return { count, magnitudes, squares };
}

/** One number per expert from its weights, read one expert at a time. */
export async function scoreWeights(layer: WeighedLayer, score: (sums: WeightSums) => number): Promise<number[]> {
  const scores: number[] = [];
  for (let expert = 0; expert < layer.experts; expert += 1) {
    scores.push(score(weightSums(await layer.expertWeights(expert))));
  }
  return scores;
}

/**
 * AIMER (arXiv 2603.18492): mean|w| / rms(w) over the gate, up and down matrices of an expert, between 1/sqrt(N) and 1; flat experts,
 * those of the highest ratio, go. The score here is its inverse rms(w) / mean|w|, so that higher stays as everywhere; 0 for an
 * expert without any weight. It does not change when an expert is scaled.
 */
export const aimer: PruneMethodOf<'weights'> = {
  name: 'aimer',
  title: 'Flatness of the weights (AIMER)',
  explanation: 'Needs no text: experts whose weights are all of similar size go.',
  source: 'arXiv 2603.18492',
  needs: 'weights',
  rank: async (layer) => ranking(await scoreWeights(layer, peakedness)),
};

/** rms(w) / mean|w|. */
export function peakedness({ count, magnitudes, squares }: WeightSums): number {
  return magnitudes > 0 ? Math.sqrt(squares * count) / magnitudes : 0;
}
