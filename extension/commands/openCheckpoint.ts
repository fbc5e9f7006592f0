import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import { ensureTrusted } from '../common/showError';
import { pickCheckpoint } from './pickCheckpoint';
import type { Services } from './services';

/** Asks for a checkpoint folder anywhere on this machine, shows its `config.json` and makes it the selected one. */
export async function openCheckpointFolder(services: Services): Promise<void> {
  if (!(await ensureTrusted())) {
    return;
  }
  const chosen = await vscode.window.showOpenDialog({
    canSelectFolders: true,
    canSelectFiles: false,
    openLabel: localize('Open Checkpoint'),
  });
  const folder = chosen?.[0];
  if (folder !== undefined) {
    services.store.add({ folder: folder.fsPath, label: fileName(folder.fsPath) });
    await pickCheckpoint(services, folder.fsPath);
    await vscode.window.showTextDocument(vscode.Uri.joinPath(folder, 'config.json'), { preview: false });
  }
}
