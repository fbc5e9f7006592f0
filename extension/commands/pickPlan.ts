import * as vscode from 'vscode';
import { planFileSuffix } from '../../engine/protocol/plan';
import { TunerError } from '../../engine/protocol/errors';
import { isPlanFile } from '../common/documents';
import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import { matchPlan } from '../plan/planCheckpoint';
import { readPlanText } from '../plan/planText';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import { saveOpenDocument } from './planLocation';
import type { Services } from './services';

/** A saved plan file, and the checkpoint it is about. */
export interface PlanAndCheckpoint {
  readonly plan: string;
  readonly checkpoint: ReadyCheckpoint;
}

/** The file that is being edited, as text or in a visual editor. */
export function activeFile(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  return input instanceof vscode.TabInputCustom ? input.uri : vscode.window.activeTextEditor?.document.uri;
}

/** A plan file: named by the argument, else the one being edited, else the one the person chooses. */
export async function pickPlanFile(argument: unknown): Promise<vscode.Uri | undefined> {
  if (argument instanceof vscode.Uri) {
    return argument;
  }
  const active = activeFile();
  if (active !== undefined && isPlanFile(active)) {
    return active;
  }
  const plans = await vscode.workspace.findFiles(`**/*${planFileSuffix}`, '**/node_modules/**');
  if (plans.length === 0) {
    throw new TunerError('fileNotFound', localize('There is no plan in this workspace.'), {
      wayOut: localize('"Find Budgets" writes one.'),
    });
  }
  const items = plans.map((uri) => ({ label: fileName(uri.fsPath), description: uri.fsPath, uri }));
  return (await vscode.window.showQuickPick(items, { placeHolder: localize('Which plan?') }))?.uri;
}

/**
 * The plan a command is about: named by its argument, else the one being edited, else asked for; with its checkpoint. Undefined
 * where the person gave up or the workspace is not trusted.
 */
export async function pickPlan(services: Services, argument: unknown): Promise<PlanAndCheckpoint | undefined> {
  const plan = await pickPlanFile(argument);
  if (plan === undefined) {
    return undefined;
  }
  await saveOpenDocument(plan.fsPath);
  const document = await vscode.workspace.openTextDocument(plan);
  const match = matchPlan(readPlanText(document.getText()).plan, plan.fsPath, services.store.all());
  const checkpoint = await pickCheckpoint(services, match?.checkpoint.folder);
  return checkpoint === undefined ? undefined : { plan: plan.fsPath, checkpoint };
}
