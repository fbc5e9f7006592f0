import * as vscode from 'vscode';
import { planFileSuffix } from '../../engine/protocol/plan';
import { TunerError } from '../../engine/protocol/errors';
import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import { pickPlanFile } from './pickPlan';

async function pickOther(first: vscode.Uri): Promise<vscode.Uri | undefined> {
  const plans = await vscode.workspace.findFiles(`**/*${planFileSuffix}`, '**/node_modules/**');
  const items = plans
    .filter((uri) => uri.toString() !== first.toString())
    .map((uri) => ({ label: fileName(uri.fsPath), description: uri.fsPath, uri }));
  if (items.length === 0) {
    throw new TunerError('fileNotFound', localize('There is no second plan in this workspace.'), {
      wayOut: localize('"Find Budgets" writes one under another name.'),
    });
  }
  const placeHolder = localize('Compare {name} with…', { name: fileName(first.fsPath) });
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.uri;
}

/** Shows two plans side by side in the editor's own diff, as text: that is what a plan is. */
export async function comparePlans(argument: unknown): Promise<void> {
  const first = await pickPlanFile(argument);
  const second = first && (await pickOther(first));
  if (first !== undefined && second !== undefined) {
    const title = localize('{first} ↔ {second}', { first: fileName(first.fsPath), second: fileName(second.fsPath) });
    await vscode.commands.executeCommand('vscode.diff', first, second, title);
  }
}
