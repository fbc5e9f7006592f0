import type { BudgetResult } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { ProfileResult } from '../../engine/protocol/sensitivity';
import type { CheckpointEntry } from './checkpointStore';

/** Whether a sensitivity profile was measured on other weights or another active-expert count than the checkpoint has. */
export function isProfileStale(profile: ProfileResult, summary: CheckpointSummary | undefined): boolean {
  return (
    summary !== undefined &&
    (profile.fingerprint !== summary.fingerprint || profile.activeExperts !== summary.activeExperts)
  );
}

/** Whether a budget or an evaluation belongs to other weights than the checkpoint has. */
export function isResultStale(
  result: Pick<BudgetResult | EvaluateResult, 'fingerprint'>,
  summary: CheckpointSummary | undefined,
): boolean {
  return summary !== undefined && result.fingerprint !== summary.fingerprint;
}

/** Whether any result shown for this checkpoint is stale. */
export function hasStaleResults({ summary, profile, budget, evaluations }: CheckpointEntry): boolean {
  return (
    (profile !== undefined && isProfileStale(profile, summary)) ||
    [budget, ...evaluations].some((result) => result !== undefined && isResultStale(result, summary))
  );
}
