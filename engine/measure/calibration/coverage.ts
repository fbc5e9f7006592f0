import type { MoeBlockSpec } from '../../families/specification';
import type { LayerStatistics } from '../../methods/statistics';
import {
  coverageShare,
  coverageTokensPerInput,
  listedPairs,
  type CalibratedLayer,
  type Coverage,
} from '../../protocol/calibration';

/** Which experts of a layer saw too few tokens to be judged, by both thresholds. */
export function coverageOf(layer: LayerStatistics, block: MoeBlockSpec): Coverage {
  const counts = [...layer.total.counts];
  const shareThreshold = coverageShare * layer.total.tokens;
  const tokenThreshold = coverageTokensPerInput * Math.max(block.hiddenSize, block.intermediateSize);
  const below = (limit: number) => counts.flatMap((count, expert) => (count < limit ? [expert] : []));
  const ascending = [...counts].sort((left, right) => left - right);
  const middle = (ascending.length - 1) / 2;
  return {
    leastTokens: ascending[0]!,
    medianTokens: (ascending[Math.floor(middle)]! + ascending[Math.ceil(middle)]!) / 2,
    shareThreshold,
    tokenThreshold,
    belowShare: below(shareThreshold),
    belowTokens: below(tokenThreshold),
    neverChosen: below(1),
  };
}

/** The part of a layer's statistics that people look at. */
export function summariseLayer(layer: LayerStatistics, block: MoeBlockSpec): CalibratedLayer {
  return {
    index: layer.index,
    experts: layer.experts,
    activeExperts: layer.activeExperts,
    counts: [...layer.total.counts],
    coverage: coverageOf(layer, block),
    coactivation: strongestPairs(layer),
  };
}

function strongestPairs({ experts, coactivation }: LayerStatistics): [number, number, number][] {
  const pairs: [number, number, number][] = [];
  for (let left = 0; left < experts; left += 1) {
    for (let right = left + 1; right < experts; right += 1) {
      const together = coactivation[left * experts + right]!;
      if (together > 0) {
        pairs.push([left, right, together]);
      }
    }
  }
  return pairs.sort((one, other) => other[2] - one[2] || one[0] - other[0] || one[1] - other[1]).slice(0, listedPairs);
}
