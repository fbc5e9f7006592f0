import type * as vscode from 'vscode';
import type { Services } from './commands/services';
import type { CheckpointEntry } from './config/checkpointStore';
import type { ConfigDecorations } from './config/configDecorations';
import type { ConfigLensProvider } from './config/configLensProvider';
import type { InlineResult } from './config/inlineResults';
import type { EngineStatus } from './engine/supervisor';

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
}

/** Builds the view of the extension that tests have. */
export function testApi(
  { engine, jobs, store }: Services,
  decorations: ConfigDecorations,
  lenses: ConfigLensProvider,
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
  };
}
