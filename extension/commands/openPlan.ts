import * as vscode from 'vscode';
import { planEditorType } from '../plan/planEditorProvider';
import { pickPlanFile } from './pickPlan';

/** Tabs of one plan in one group, of the kind that is being left. */
function tabsOf(uri: vscode.Uri, group: vscode.TabGroup, kind: 'text' | 'visual'): vscode.Tab[] {
  return group.tabs.filter(({ input }) =>
    kind === 'text'
      ? input instanceof vscode.TabInputText && input.uri.toString() === uri.toString()
      : input instanceof vscode.TabInputCustom && input.uri.toString() === uri.toString(),
  );
}

/**
 * Shows a plan in the other editor, in place of the one it was open in. A tab with unsaved changes is left open: closing it would
 * ask whether to save what stays open anyway.
 */
async function reopen(uri: vscode.Uri, viewType: string, left: 'text' | 'visual'): Promise<void> {
  const group = vscode.window.tabGroups.activeTabGroup;
  const tabs = tabsOf(uri, group, left);
  await vscode.commands.executeCommand('vscode.openWith', uri, viewType, {
    viewColumn: group.viewColumn,
    preview: false,
  });
  await vscode.window.tabGroups.close(
    tabs.filter(({ isDirty }) => !isDirty),
    true,
  );
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
