import * as vscode from 'vscode';
import { folderOf, isConfigFile } from '../common/documents';
import { localize } from '../common/localize';
import { ensureTrusted } from '../common/showError';
import { fileName } from '../config/resultText';
import type { CheckpointEntry } from '../config/checkpointStore';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import { isCheckpointNode } from '../views/checkpointNodes';
import type { Services } from './services';

/** A checkpoint whose headers the engine has read. */
export type ReadyCheckpoint = CheckpointEntry & { readonly summary: CheckpointSummary };

/** The folder that a command argument names: a path, a file in it, or a node of the tree. */
function folderOfArgument(argument: unknown): string | undefined {
  if (typeof argument === 'string') {
    return argument;
  }
  if (argument instanceof vscode.Uri) {
    return isConfigFile(argument) ? folderOf(argument) : argument.fsPath;
  }
  return isCheckpointNode(argument) ? argument.folder : undefined;
}

function folderOfActiveEditor(): string | undefined {
  const uri = vscode.window.activeTextEditor?.document.uri;
  return uri !== undefined && isConfigFile(uri) ? folderOf(uri) : undefined;
}

async function pickFolder({ store }: Services): Promise<string | undefined> {
  const found = store.all();
  if (found.length > 1) {
    const items = found.map(({ folder, label }) => ({ label, description: folder, folder }));
    const placeHolder = localize('Which checkpoint?');
    return (await vscode.window.showQuickPick(items, { placeHolder }))?.folder;
  }
  const [only] = found;
  if (only !== undefined) {
    return only.folder;
  }
  const openSample = localize('Open Sample');
  const message = localize('No mixture-of-experts checkpoint was found in this workspace.');
  if ((await vscode.window.showInformationMessage(message, openSample)) === openSample) {
    await vscode.commands.executeCommand('moeTuner.openSample');
  }
  return undefined;
}

/**
 * The checkpoint a command is about: named by its argument, else the one whose `config.json` is being edited, else the
 * only one, else asked for. Undefined where the person gave up or the workspace is not trusted.
 *
 * @throws TunerError where the engine cannot read it
 */
export async function pickCheckpoint(services: Services, argument: unknown): Promise<ReadyCheckpoint | undefined> {
  if (!(await ensureTrusted())) {
    return undefined;
  }
  const folder = folderOfArgument(argument) ?? folderOfActiveEditor() ?? (await pickFolder(services));
  if (folder === undefined) {
    return undefined;
  }
  const { store } = services;
  if (store.get(folder) === undefined) {
    store.add({ folder, label: fileName(folder) });
  }
  store.select(folder);
  const entry = await store.inspect(folder, store.get(folder)?.state === 'failed');
  if (entry.state !== 'ready' || entry.summary === undefined) {
    throw entry.error ?? new Error(localize('The checkpoint in {folder} could not be read.', { folder }));
  }
  return { ...entry, summary: entry.summary };
}
