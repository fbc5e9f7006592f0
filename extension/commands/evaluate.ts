import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { isPlanFile } from '../common/documents';
import { planFileSuffix } from '../../engine/protocol/plan';
import { TunerError } from '../../engine/protocol/errors';
import { fileName } from '../config/resultText';
import type { EngineParams } from '../engine/supervisor';
import { matchPlan } from '../plan/planCheckpoint';
import { readPlanText } from '../plan/planText';
import { askForInputs } from './evaluationInputs';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import { saveOpenDocument } from './planLocation';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export type EvaluateOptions = Partial<Omit<EngineParams<'evaluate'>, 'checkpoint'>>;

async function runEvaluation(
  services: Services,
  { folder }: ReadyCheckpoint,
  title: string,
  options: EvaluateOptions,
): Promise<void> {
  const given = (options.text?.length ?? 0) + (options.tasks?.length ?? 0) > 0;
  const inputs = given ? {} : await askForInputs(services, folder);
  if (inputs === undefined) {
    return;
  }
  const { engine, jobs, provider, store } = services;
  const evaluation = await jobs.run(title, (control) =>
    engine.request('evaluate', { ...inputs, ...options, checkpoint: folder }, control),
  );
  if (evaluation !== undefined) {
    provider.set(evaluation.provider);
    store.addEvaluation(folder, evaluation);
  }
}

/** Measures the quality of a checkpoint as it is. */
export async function evaluateCheckpoint(
  services: Services,
  argument?: unknown,
  options: EvaluateOptions = {},
): Promise<void> {
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint !== undefined) {
    const title = localize('Evaluating {label}', { label: checkpoint.label });
    await runEvaluation(services, checkpoint, title, options);
  }
}

async function pickPlan(argument: unknown): Promise<vscode.Uri | undefined> {
  if (argument instanceof vscode.Uri) {
    return argument;
  }
  const active = vscode.window.activeTextEditor?.document.uri;
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

/** Measures the quality of a plan against the checkpoint it was made for. */
export async function evaluatePlan(
  services: Services,
  argument?: unknown,
  options: EvaluateOptions = {},
): Promise<void> {
  const plan = await pickPlan(argument);
  if (plan === undefined) {
    return;
  }
  await saveOpenDocument(plan.fsPath);
  const document = await vscode.workspace.openTextDocument(plan);
  const match = matchPlan(readPlanText(document.getText()).plan, plan.fsPath, services.store.all());
  const checkpoint = await pickCheckpoint(services, match?.checkpoint.folder);
  if (checkpoint !== undefined) {
    const title = localize('Evaluating {label}', { label: fileName(plan.fsPath) });
    await runEvaluation(services, checkpoint, title, { ...options, plan: plan.fsPath });
  }
}
