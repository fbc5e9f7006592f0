import { expertSumNames, type CalibrationStatistics, type LayerStatistics } from '../../engine/methods/statistics';
import { roundToBfloat16 } from '../../engine/measure/calibration/bfloat16';
import { totalSums } from '../../engine/measure/calibration/layerAccumulator';
import { SeededRandom } from '../../engine/numeric/seededRandom';

const [experts, activeExperts, hiddenSize, sampled] = [4, 2, 6, 5];
const tokensOfTag = [7, 3];

/** Statistics with random sums that are consistent where a file is checked: counts, diagonals, shapes. */
export function statisticsSample(): CalibrationStatistics {
  const random = new SeededRandom(1);
  const tags = ['code', 'prose'];
  return {
    fingerprint: 'f'.repeat(64),
    family: 'olmoe',
    tokens: tokensOfTag.reduce((sum, tokens) => sum + tokens, 0),
    seed: 5,
    tags,
    layers: [1, 3].map((index) => layerSample(index, tags, random)),
  };
}

function layerSample(index: number, tags: readonly string[], random: SeededRandom): LayerStatistics {
  const doubles = (length: number) => Float64Array.from({ length }, () => random.uniform());
  const floats = (length: number) => Float32Array.from({ length }, () => random.uniform() - 0.5);
  const byTag = tags.map((tag, at) => {
    const tokens = tokensOfTag[at]!;
    const sums = Object.fromEntries(expertSumNames.map((name) => [name, doubles(experts)])) as Record<
      (typeof expertSumNames)[number],
      Float64Array
    >;
    return { ...sums, tag, tokens, counts: Float64Array.of(tokens, tokens - 1, 1, 0) };
  });
  const total = totalSums(byTag, experts);
  const coactivation = doubles(experts * experts).map((value, at) =>
    at % (experts + 1) === 0 ? total.counts[Math.floor(at / experts)]! : Math.floor(3 * value),
  );
  // Halves of the whole numbers go to the first tag.
  const first = coactivation.map((value, at) =>
    at % (experts + 1) === 0 ? byTag[0]!.counts[Math.floor(at / experts)]! : Math.floor(value / 2),
  );
  const pairsByTag = [first, coactivation.map((value, at) => value - first[at]!)].map((own) => ({
    coactivation: own,
    contributionProducts: doubles(experts * experts),
    contributionGram: doubles(experts * experts),
  }));
  const inputs = floats(sampled * hiddenSize);
  roundToBfloat16(inputs);
  return {
    index,
    experts,
    activeExperts,
    hiddenSize,
    total,
    byTag,
    largestOutputs: doubles(experts),
    outputSums: floats(experts * hiddenSize),
    coactivation,
    contributionProducts: doubles(experts * experts),
    contributionGram: doubles(experts * experts),
    // One layer has them, one was left without.
    pairsByTag: index === 1 ? pairsByTag : undefined,
    logitProducts: doubles(experts * experts),
    probabilityProducts: doubles(experts * experts),
    topMasses: doubles(activeExperts),
    outputSquares: random.uniform(),
    sample: { tokens: sampled, inputs, tags: Uint16Array.of(0, 1, 1, 0, 1) },
    dense:
      index === 1
        ? {
            tokens: sampled,
            meanOutputs: floats(experts * hiddenSize),
            gram: doubles(experts * experts),
            cosines: doubles(experts * experts),
          }
        : undefined,
  };
}
