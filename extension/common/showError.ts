import * as vscode from 'vscode';
import { toTunerError } from '../../engine/protocol/errors';
import { localize } from './localize';

/** What a person can do about an error that was shown. */
export interface ErrorActions {
  readonly showLog: () => void;
  readonly retry?: () => void;
}

/** Tells the person what happened, why and what to do; cancelled work is not an error. */
export async function showError(error: unknown, actions: ErrorActions): Promise<void> {
  const failure = toTunerError(error);
  if (failure.kind === 'cancelled') {
    return;
  }
  const showLog = localize('Show Log');
  const retry = localize('Try Again');
  const canRetry = actions.retry !== undefined && failure.kind === 'failed';
  const choice = await vscode.window.showErrorMessage(failure.describe(), ...(canRetry ? [retry] : []), showLog);
  if (choice === showLog) {
    actions.showLog();
  } else if (choice === retry) {
    actions.retry?.();
  }
}

/** Whether the engine may be used here; where not, the person is told why and how to change it. */
export async function ensureTrusted(): Promise<boolean> {
  if (vscode.workspace.isTrusted) {
    return true;
  }
  const manage = localize('Manage Workspace Trust');
  const message = localize('MoE Tuner reads and runs models only in trusted workspaces.');
  if ((await vscode.window.showWarningMessage(message, manage)) === manage) {
    await vscode.commands.executeCommand('workbench.trust.manage');
  }
  return false;
}
