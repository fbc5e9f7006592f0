import type { EvaluateResult, WeightChangeName } from '../../engine/protocol/evaluation';
import { evaluations } from './webviewSnapshots';

/** Bytes of the experts of the sample checkpoint. */
export const sampleExpertBytes = 47_185_920;

/**
 * An evaluation of a plan that changes the weights of the experts.
 *
 * @param share bytes of the experts relative to the checkpoint's
 * @param change relative change of the perplexity
 * @param minute sets the end of the run
 */
export function planRun(
  plan: string,
  changes: WeightChangeName[],
  share: number,
  change: number,
  minute: number,
): EvaluateResult {
  const before = 9;
  return {
    ...evaluations[1]!,
    plan: `/plans/${plan}.moeplan.json`,
    weightsChanged: true,
    changes,
    expertBytes: sampleExpertBytes * share,
    originalExpertBytes: sampleExpertBytes,
    baselineGeometricMeanPerplexity: before,
    geometricMeanPerplexity: before * (1 + change),
    finished: `2026-08-21T10:${String(minute).padStart(2, '0')}:00.000Z`,
  };
}

/** A pruned plan measured twice, a merged one of the same size, a quantized one that is smaller and better. */
export const planRuns: readonly EvaluateResult[] = [
  planRun('pruned', ['prune'], 0.75, 0.3, 1),
  planRun('pruned', ['prune'], 0.75, 0.12, 2),
  planRun('merged', ['merge'], 0.75, 0.2, 3),
  planRun('rounded', ['quantize'], 0.25, 0.05, 4),
];
