import type * as vscode from 'vscode';
import type { Services } from './commands/services';
import type { CheckpointEntry } from './config/checkpointStore';
import type { ConfigDecorations } from './config/configDecorations';
import type { ConfigLensProvider } from './config/configLensProvider';
import type { InlineResult } from './config/inlineResults';
import type { EngineStatus } from './engine/supervisor';
import type { PlanEditorProvider } from './plan/planEditorProvider';
import type { PlanEditorSession } from './plan/planEditorSession';

/** What the integration tests see of a running extension; exported in test mode only. */
export interface TestApi {
  readonly activationMilliseconds: number;
  /** The longest that anyone waited for the lenses of a `config.json`; undefined before the first. */
  readonly slowestLensesMilliseconds: () => number | undefined;
  readonly engineStatus: () => EngineStatus;
  readonly engineProcessId: () => number | undefined;
  readonly checkpoints: () => readonly CheckpointEntry[];
  readonly checkpoint: (folder: string) => CheckpointEntry | undefined;
  /** Progress of the running job, from 0 to 1; undefined when none runs. */
  readonly jobFraction: () => number | undefined;
  /** Message of the error the last job ended with. */
  readonly lastError: () => string | undefined;
  readonly inlineResults: (document: vscode.TextDocument) => readonly InlineResult[];
  /** The visual editors that are open on a plan. */
  readonly planEditors: (plan: vscode.Uri) => readonly PlanEditorSession[];
}

/** Parts of the extension that are no services. */
interface Parts {
  readonly decorations: ConfigDecorations;
  readonly lenses: ConfigLensProvider;
  readonly planEditors: PlanEditorProvider;
}

/** Builds the view of the extension that tests have. */
export function testApi(
  { engine, jobs, store }: Services,
  { decorations, lenses, planEditors }: Parts,
  activationMilliseconds: number,
): TestApi {
  return {
    activationMilliseconds,
    slowestLensesMilliseconds: () => lenses.slowestMilliseconds,
    engineStatus: () => engine.status,
    engineProcessId: () => engine.processId,
    checkpoints: () => store.all(),
    checkpoint: (folder) => store.get(folder),
    jobFraction: () => jobs.current?.fraction,
    lastError: () => jobs.lastError?.message,
    inlineResults: (document) => decorations.resultsOf(document),
    planEditors: (plan) => planEditors.sessions.filter(({ uri }) => uri.toString() === plan.toString()),
  };
}
