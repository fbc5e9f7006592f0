import * as vscode from 'vscode';
import type { PlaygroundTarget } from '../../engine/protocol/playground';
import { isPlanFile } from '../common/documents';
import { pickCheckpoint } from './pickCheckpoint';
import { activeFile, pickPlan } from './pickPlan';
import type { Services } from './services';

/** Opens the playground for the plan or checkpoint that the argument names, else the one being edited, else asked for. */
export async function openPlayground(
  services: Services,
  show: (target: PlaygroundTarget) => void,
  argument: unknown,
): Promise<void> {
  const named = argument ?? activeFile();
  if (named instanceof vscode.Uri && isPlanFile(named)) {
    const picked = await pickPlan(services, named);
    if (picked !== undefined) {
      show({ folder: picked.checkpoint.folder, plan: picked.plan });
    }
    return;
  }
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint !== undefined) {
    show({ folder: checkpoint.folder });
  }
}
