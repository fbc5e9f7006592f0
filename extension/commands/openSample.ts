import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { rememberInputs } from './evaluationInputs';
import type { Services } from './services';

const sampleName = 'sample-tasks-moe';

/** The sample was trained on windows of this many tokens, one text each: longer ones are new to it. */
const sampleWindowLength = 48;

/** Where the sample goes: `here` into the extension's storage and open at once, or a folder the person chooses. */
export type SampleTarget = 'here' | 'folder';

async function pickTarget(): Promise<SampleTarget | undefined> {
  const items: readonly (vscode.QuickPickItem & { target: SampleTarget })[] = [
    {
      target: 'here',
      label: localize('Open in this window'),
      description: localize("a copy in the extension's storage"),
    },
    { target: 'folder', label: localize('Copy to a folder…'), description: localize('and open that folder') },
  ];
  const placeHolder = localize('The sample is a small trained Qwen2-MoE model (8 MB).');
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.target;
}

async function chooseParent(): Promise<vscode.Uri | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectFolders: true,
    canSelectFiles: false,
    openLabel: localize('Copy Sample Here'),
  });
  return chosen?.[0];
}

/** Copies the sample unless a copy is there already; a person's changes to it stay. */
async function copySample({ context }: Services, parent: vscode.Uri): Promise<vscode.Uri> {
  const copy = vscode.Uri.joinPath(parent, sampleName);
  try {
    await vscode.workspace.fs.stat(vscode.Uri.joinPath(copy, 'config.json'));
  } catch {
    await vscode.workspace.fs.createDirectory(parent);
    const sample = vscode.Uri.joinPath(context.extensionUri, 'media', 'sample');
    await vscode.workspace.fs.copy(sample, copy, { overwrite: true });
  }
  return copy;
}

/** Opens a copy of the bundled sample checkpoint. */
export async function openSample(services: Services, given?: SampleTarget): Promise<void> {
  const target = given === 'here' || given === 'folder' ? given : await pickTarget();
  if (target === undefined) {
    return;
  }
  const parent = target === 'here' ? services.context.globalStorageUri : await chooseParent();
  if (parent === undefined) {
    return;
  }
  const copy = await copySample(services, parent);
  await rememberInputs(services, copy.fsPath, {
    text: [vscode.Uri.joinPath(copy, 'calibration.jsonl').fsPath],
    tasks: [vscode.Uri.joinPath(copy, 'tasks.jsonl').fsPath],
    length: sampleWindowLength,
    perDocument: true,
  });
  if (target === 'folder') {
    await vscode.commands.executeCommand('vscode.openFolder', copy, { forceNewWindow: true });
    return;
  }
  services.store.add({ folder: copy.fsPath, label: sampleName });
  services.store.select(copy.fsPath);
  await vscode.window.showTextDocument(vscode.Uri.joinPath(copy, 'config.json'), { preview: false });
}
