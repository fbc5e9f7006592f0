import { dirname, sep } from 'node:path';
import type { Plan } from '../../engine/protocol/plan';
import type { CheckpointEntry } from '../config/checkpointStore';
import { fileName } from '../config/resultText';

/** How a checkpoint was found for a plan. */
export interface PlanMatch {
  readonly checkpoint: CheckpointEntry;
  /** Whether the plan's fingerprint is this checkpoint's; undefined where the plan or the headers do not say. */
  readonly sameFingerprint: boolean | undefined;
}

function sharedDepth(path: string, folder: string): number {
  const one = path.split(sep);
  const other = folder.split(sep);
  const difference = one.findIndex((segment, position) => segment !== other[position]);
  return difference === -1 ? one.length : difference;
}

/**
 * The checkpoint a plan is about: the one whose fingerprint the plan names, else one of the name the plan gives, else
 * the only or nearest one. Whether it really is the right one, `sameFingerprint` says.
 */
export function matchPlan(
  plan: Plan | undefined,
  planFile: string,
  checkpoints: readonly CheckpointEntry[],
): PlanMatch | undefined {
  const fingerprint = plan?.source?.fingerprint;
  const name = plan?.source?.checkpoint;
  const nearestFirst = [...checkpoints].sort(
    (one, other) => sharedDepth(dirname(planFile), other.folder) - sharedDepth(dirname(planFile), one.folder),
  );
  // A checkpoint that this plan was applied to has the same weights under another name.
  const same = nearestFirst.filter(({ summary }) => fingerprint !== undefined && summary?.fingerprint === fingerprint);
  const exact = same.find(({ folder }) => fileName(folder) === name) ?? same[0];
  if (exact !== undefined) {
    return { checkpoint: exact, sameFingerprint: true };
  }
  const checkpoint = nearestFirst.find(({ folder }) => fileName(folder) === name) ?? nearestFirst[0];
  if (checkpoint === undefined) {
    return undefined;
  }
  // While any checkpoint is unread, the plan may still turn out to be that one's.
  const allRead = checkpoints.every(({ state }) => state === 'ready' || state === 'failed');
  const known = fingerprint !== undefined && checkpoint.summary !== undefined && allRead;
  return { checkpoint, sameFingerprint: known ? false : undefined };
}
