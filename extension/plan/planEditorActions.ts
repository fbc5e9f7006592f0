import * as vscode from 'vscode';
import type { PlanEditorAction } from '../../engine/protocol/planEditor';
import type { CommandId } from '../common/commandIds';

/** What an action needs to know: the plan document, and the folder of its checkpoint where there is one. */
type Arguments = (document: vscode.TextDocument, folder: string | undefined) => readonly unknown[];

/** The run writes its section of this plan. */
const intoThisPlan: Arguments = (document, folder) => [folder, { out: document.uri.fsPath }];

/** Commands of this extension, and of VS Code where it has what the action means. */
const planActions: Readonly<
  Record<PlanEditorAction, { readonly command: CommandId | `workbench.${string}`; readonly arguments: Arguments }>
> = {
  profile: { command: 'moeTuner.profile', arguments: (_, folder) => [folder] },
  findBudgets: { command: 'moeTuner.findBudgets', arguments: intoThisPlan },
  calibrate: { command: 'moeTuner.calibrate', arguments: (_, folder) => [folder] },
  prune: { command: 'moeTuner.prune', arguments: intoThisPlan },
  merge: { command: 'moeTuner.merge', arguments: intoThisPlan },
  quantize: { command: 'moeTuner.quantize', arguments: intoThisPlan },
  evaluatePlan: { command: 'moeTuner.evaluatePlan', arguments: ({ uri }) => [uri] },
  applyPlan: { command: 'moeTuner.applyPlan', arguments: ({ uri }) => [uri] },
  cancel: { command: 'moeTuner.cancelJob', arguments: () => [] },
  openDashboard: { command: 'moeTuner.openDashboardInEditor', arguments: (_, folder) => [folder] },
  compareWithSaved: { command: 'workbench.files.action.compareWithSaved', arguments: ({ uri }) => [uri] },
  revert: { command: 'workbench.action.files.revert', arguments: ({ uri }) => [uri] },
  showLog: { command: 'moeTuner.showLog', arguments: () => [] },
};

/** Runs an action the page asked for. */
export async function runPlanAction(
  action: PlanEditorAction,
  document: vscode.TextDocument,
  folder: string | undefined,
): Promise<void> {
  const { command, arguments: argumentsOf } = planActions[action];
  await vscode.commands.executeCommand(command, ...argumentsOf(document, folder));
}
