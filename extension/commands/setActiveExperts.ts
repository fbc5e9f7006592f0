import * as vscode from 'vscode';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import { TunerError } from '../../engine/protocol/errors';
import { folderOf, isGenaiConfig } from '../common/documents';
import { localize } from '../common/localize';
import { ensureTrusted } from '../common/showError';
import { numbersProblem, typedNumbers } from '../config/genaiLenses';
import { fileName } from '../config/resultText';
import { readPlanText } from '../plan/planText';
import { pickPlanFile } from './pickPlan';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export interface SetActiveExpertsOptions {
  /** One number per MoE operator in order. */
  readonly activeExperts?: readonly number[];
}

/** Folder of the ONNX model that the argument names, else of the `genai_config.json` being edited, else the one the person chooses. */
async function pickModel(argument: unknown): Promise<string | undefined> {
  if (typeof argument === 'string') {
    return argument;
  }
  const named = argument instanceof vscode.Uri ? argument : vscode.window.activeTextEditor?.document.uri;
  if (named !== undefined && isGenaiConfig(named)) {
    return folderOf(named);
  }
  const found = await vscode.workspace.findFiles('**/genai_config.json', '**/node_modules/**');
  const items = found.map((uri) => ({ label: vscode.workspace.asRelativePath(uri), uri }));
  if (items.length === 0) {
    throw new TunerError('fileNotFound', localize('There is no genai_config.json in this workspace.'), {
      wayOut: localize('Open the folder of an ONNX model.'),
    });
  }
  const choice = await vscode.window.showQuickPick(items, { placeHolder: localize('Which ONNX model?') });
  return choice && folderOf(choice.uri);
}

async function askForNumbers(summary: CheckpointSummary): Promise<readonly number[] | undefined> {
  const typed = { label: localize('Type numbers…') };
  const planned = { label: localize('Take them from a plan…') };
  const source = await vscode.window.showQuickPick([typed, planned], {
    placeHolder: localize('Active experts of the MoE operators'),
  });
  if (source === planned) {
    const plan = await pickPlanFile(undefined);
    return plan && readPlanText((await vscode.workspace.openTextDocument(plan)).getText()).plan?.activeExperts;
  }
  if (source === undefined) {
    return undefined;
  }
  const current = summary.layers.filter(({ moe }) => moe).map(({ active }) => active);
  const text = await vscode.window.showInputBox({
    prompt: localize('Active experts: one number for all MoE operators, or one for each, separated by commas'),
    value: current.join(', '),
    validateInput: (value) => numbersProblem(value, summary),
  });
  return text === undefined ? undefined : typedNumbers(text, summary);
}

/** Changes the active experts of an existing ONNX model in its own file, and offers to take it back. */
export async function setActiveExperts(
  services: Services,
  argument: unknown,
  options: SetActiveExpertsOptions = {},
): Promise<void> {
  if (!(await ensureTrusted())) {
    return;
  }
  const folder = await pickModel(argument);
  if (folder === undefined) {
    return;
  }
  const { engine, jobs } = services;
  const activeExperts =
    options.activeExperts ?? (await askForNumbers(await engine.request('inspect', { checkpoint: folder })));
  if (activeExperts === undefined) {
    return;
  }
  const change = (numbers: readonly number[]) =>
    jobs.run(localize('Changing {label}', { label: fileName(folder) }), ({ token }) =>
      engine.request('setActiveExperts', { model: folder, activeExperts: [...numbers] }, { token }),
    );
  const result = await change(activeExperts);
  if (result === undefined) {
    return;
  }
  const { changed, original, previous } = result;
  if (original === undefined) {
    void vscode.window.showInformationMessage(localize('The model has these numbers already.'));
    return;
  }
  const undo = localize('Undo');
  const message = localize('{changed} MoE operators changed. The model as it was is kept as {name}.', {
    changed,
    name: original,
  });
  void vscode.window.showInformationMessage(message, undo).then(async (choice) => {
    if (choice === undo) {
      await change(previous);
    }
  });
}
