import type * as vscode from 'vscode';
import type { ProviderInUse } from '../common/providerInUse';
import type { RecentLog } from '../common/recentLog';
import type { CheckpointFinder } from '../config/checkpointFinder';
import type { CheckpointStore } from '../config/checkpointStore';
import type { EngineSupervisor } from '../engine/supervisor';
import type { JobRunner } from './jobRunner';

/** What the commands work with; built once by the composition root. */
export interface Services {
  readonly context: vscode.ExtensionContext;
  readonly engine: EngineSupervisor;
  readonly store: CheckpointStore;
  readonly finder: CheckpointFinder;
  readonly jobs: JobRunner;
  readonly provider: ProviderInUse;
  readonly output: vscode.LogOutputChannel;
  readonly log: RecentLog;
}
