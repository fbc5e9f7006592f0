import type { CalibrationStatistics } from '../statistics';

/** Share of the layers, from the first, in which experts with extreme activations are looked for. */
const earlyShare = 0.75;
const quantile = 0.995;
const shareOfLargest = 0.1;

/**
 * Experts that must not go: those whose largest output exceeds both the 99.5 % quantile over all experts and one tenth of the largest of
 * all, in the first three quarters of the MoE layers. Removing 3 of 6144 such experts ruined Qwen3-30B-A3B (arXiv 2507.23279); the
 * thresholds are those of REAP's observer (arXiv 2510.13999).
 *
 * @returns for every MoE layer in order the experts to keep
 */
export function superExperts({ layers }: Pick<CalibrationStatistics, 'layers'>): ReadonlySet<number>[] {
  const all = layers.flatMap(({ largestOutputs }) => [...largestOutputs]).sort((left, right) => left - right);
  const largest = all.at(-1) ?? 0;
  const threshold = Math.max(all[Math.ceil(quantile * all.length) - 1] ?? 0, shareOfLargest * largest);
  const early = Math.ceil(earlyShare * layers.length);
  return layers.map(
    ({ largestOutputs }, position) =>
      new Set(
        position < early ? [...largestOutputs.keys()].filter((expert) => largestOutputs[expert]! > threshold) : [],
      ),
  );
}
