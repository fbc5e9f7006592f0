import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import type { TunerError } from '../../engine/protocol/errors';
import type { RunningJob } from '../commands/jobRunner';
import type { CheckpointEntry } from '../config/checkpointStore';
import { hasStaleResults, isResultStale } from '../config/staleness';
import type { EngineStatus } from '../engine/supervisor';

/** What a snapshot is made of. */
export interface SnapshotSources {
  readonly status: EngineStatus;
  readonly provider: string | undefined;
  readonly checkpoints: readonly CheckpointEntry[];
  readonly selected: CheckpointEntry | undefined;
  readonly job: RunningJob | undefined;
  readonly lastError: TunerError | undefined;
  readonly trusted: boolean;
}

function errorPart(error: TunerError | undefined): DashboardSnapshot['error'] {
  if (error === undefined) {
    return undefined;
  }
  const { wayOut } = error.details;
  return wayOut === undefined ? { message: error.message } : { message: error.message, wayOut };
}

/** The complete picture that the dashboard draws. */
export function buildSnapshot(sources: SnapshotSources): DashboardSnapshot {
  const { status, provider, checkpoints, selected, job, lastError, trusted } = sources;
  const error = errorPart(lastError ?? selected?.error);
  return {
    kind: 'snapshot',
    engine: {
      state: status.state,
      ...(provider === undefined ? {} : { provider }),
      ...(status.message === undefined ? {} : { message: status.message }),
    },
    checkpoints: checkpoints.map(({ folder, label }) => ({ folder, label })),
    evaluations: [...(selected?.evaluations ?? [])],
    stale: selected !== undefined && hasStaleResults(selected),
    trusted,
    ...(selected === undefined ? {} : { selected: selected.folder }),
    ...(selected?.summary === undefined ? {} : { summary: selected.summary }),
    ...(selected?.profile === undefined ? {} : { profile: selected.profile }),
    ...(selected?.budget === undefined ? {} : { budget: selected.budget }),
    ...(selected?.calibration === undefined ? {} : { calibration: selected.calibration }),
    ...(selected?.measuredBudgets === undefined
      ? {}
      : { measuredBudgets: selected.measuredBudgets.filter((run) => !isResultStale(run, selected.summary)) }),
    ...(selected?.pruneRuns === undefined
      ? {}
      : { pruneRuns: selected.pruneRuns.filter((run) => !isResultStale(run, selected.summary)) }),
    ...(selected?.mergeRuns === undefined
      ? {}
      : { mergeRuns: selected.mergeRuns.filter((run) => !isResultStale(run, selected.summary)) }),
    ...(selected?.quantizations === undefined
      ? {}
      : { quantizations: selected.quantizations.filter((run) => !isResultStale(run, selected.summary)) }),
    ...(job === undefined ? {} : { job: { ...job } }),
    ...(error === undefined ? {} : { error }),
  };
}
