import * as vscode from 'vscode';
import { planEditorType } from '../plan/planEditorProvider';
import { pickPlanFile } from './pickPlan';

/** The tabs in which a plan is open as text, or in the visual editor. */
function isOpenAs(kind: 'text' | 'visual', uri: vscode.Uri, { input }: vscode.Tab): boolean {
  const isText = input instanceof vscode.TabInputText;
  const shows = isText || input instanceof vscode.TabInputCustom ? input.uri.toString() : undefined;
  return isText === (kind === 'text') && shows === uri.toString();
}

/**
 * Shows a plan in the other editor, in place of the one it was open in. A tab with unsaved changes is left open: closing it would
 * ask whether to save what stays open anyway.
 */
async function reopen(uri: vscode.Uri, viewType: string, left: 'text' | 'visual'): Promise<void> {
  const { viewColumn } = vscode.window.tabGroups.activeTabGroup;
  await vscode.commands.executeCommand('vscode.openWith', uri, viewType, { viewColumn, preview: false });
  const group = vscode.window.tabGroups.all.find((each) => each.viewColumn === viewColumn);
  const superseded = (group?.tabs ?? []).filter((tab) => !tab.isDirty && isOpenAs(left, uri, tab));
  if (superseded.length > 0) {
    await vscode.window.tabGroups.close(superseded, true);
  }
}

/** Opens a plan in the visual editor: the one named, else the one being edited, else the one the person chooses. */
export async function openPlanEditor(argument: unknown): Promise<void> {
  const uri = await pickPlanFile(argument);
  if (uri !== undefined) {
    await reopen(uri, planEditorType, 'text');
  }
}

/** Opens the plan of the visual editor as text. */
export async function openPlanAsText(argument: unknown): Promise<void> {
  const uri = await pickPlanFile(argument);
  if (uri !== undefined) {
    await reopen(uri, 'default', 'visual');
  }
}
