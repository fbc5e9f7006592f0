import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { defaultPlanName } from '../plan/planFeatures';

function workspaceFolderOf(folder: string): string | undefined {
  return vscode.workspace.getWorkspaceFolder(vscode.Uri.file(folder))?.uri.fsPath;
}

async function exists(file: string): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(vscode.Uri.file(file));
    return true;
  } catch {
    return false;
  }
}

async function askForFile(suggestion: string): Promise<string | undefined> {
  const choice = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.file(suggestion),
    filters: { [localize('MoE plan')]: ['moeplan.json'] },
    title: localize('Where should the plan be written?'),
  });
  return choice?.fsPath;
}

/** Saves the open editor of a file, so that the engine updates what the person sees. */
export async function saveOpenDocument(file: string): Promise<void> {
  const document = vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === 'file' && uri.fsPath === file);
  if (document?.isDirty === true) {
    await document.save();
  }
}

/**
 * Where the plan of a checkpoint is written: beside its folder where that is inside the workspace, in the folder where
 * that is the workspace itself, else where the person says. An existing plan is updated or kept, as the person says.
 */
export async function choosePlanFile(checkpointFolder: string): Promise<string | undefined> {
  const name = defaultPlanName(checkpointFolder);
  const workspaceFolder = workspaceFolderOf(checkpointFolder);
  if (workspaceFolder === undefined) {
    return askForFile(join(checkpointFolder, name));
  }
  const parent = checkpointFolder === workspaceFolder ? checkpointFolder : dirname(checkpointFolder);
  const file = join(parent, name);
  if (!(await exists(file))) {
    return file;
  }
  const update = { label: localize('Update {name}', { name }), description: file };
  const other = { label: localize('Write another plan…') };
  const choice = await vscode.window.showQuickPick([update, other], {
    placeHolder: localize('A plan for this checkpoint exists.'),
  });
  if (choice === update) {
    return file;
  }
  return choice === other ? askForFile(file) : undefined;
}
