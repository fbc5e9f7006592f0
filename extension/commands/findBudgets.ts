import * as vscode from 'vscode';
import { formatPercent } from '../common/format';
import { localize } from '../common/localize';
import type { BudgetResult, ObjectiveName } from '../../engine/protocol/budget';
import type { CommandId } from '../common/commandIds';
import type { EngineParams } from '../engine/supervisor';
import { offeredObjectives, pointRequest, totalChoices, totalProblem } from './budgetChoices';
import { budgetOutcome } from './budgetOutcome';
import { askForCalibration, canMeasureModel, rememberedCalibration } from './calibrationText';
import type { JobControl, JobOptions } from './jobRunner';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import { choosePlanFile, saveOpenDocument } from './planLocation';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export type BudgetOptions = Partial<Omit<EngineParams<'budget'>, 'checkpoint'>>;

async function pickObjective({ summary }: ReadyCheckpoint): Promise<ObjectiveName | undefined> {
  const offered = offeredObjectives(canMeasureModel(summary));
  const items = offered.map(([label, description]) => ({ label, description }));
  const placeHolder = localize('What should the budgets minimise?');
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.label;
}

async function pickTotal({ summary }: ReadyCheckpoint): Promise<number | undefined> {
  const offered = totalChoices(summary).map(({ total, average, share }) => ({
    label: localize('{average} active experts per layer on average', { average: average.toFixed(2) }),
    description: localize('{total} in total, {share} of the trained', { total, share: formatPercent(share) }),
    total,
  }));
  const another = { label: localize('Another total…'), description: '', total: undefined };
  const placeHolder = localize('How many experts may be active?');
  const choice = await vscode.window.showQuickPick([...offered, another], { placeHolder });
  if (choice !== another) {
    return choice?.total;
  }
  const typed = await vscode.window.showInputBox({
    prompt: localize('Active experts, summed over all MoE layers'),
    validateInput: (text) => totalProblem(text, summary),
  });
  return typed === undefined ? undefined : Number(typed);
}

/** A measured search can be stopped with what it has; before its first allocation there is nothing to keep. */
function jobOptions({ objective = 'auto', text = [] }: BudgetOptions): JobOptions {
  if (objective !== 'auto' || text.length === 0) {
    return {};
  }
  const whenCancelled = localize(
    'Stopped before an allocation was measured: no plan was written. Finished measurements are kept for the next run.',
  );
  return { keepsBest: true, whenCancelled };
}

/** Tells what the plan alone does not; does not wait for the person. */
async function tellOutcome(message: string): Promise<void> {
  const open = localize('Open Dashboard');
  if ((await vscode.window.showInformationMessage(message, open)) === open) {
    const command: CommandId = 'moeTuner.openDashboard';
    await vscode.commands.executeCommand(command);
  }
}

/** Solves budgets, writes them into a plan file and opens it. False where there is no result. */
export async function solveAndOpen(
  services: Services,
  checkpoint: ReadyCheckpoint,
  options: BudgetOptions & { readonly out: string },
): Promise<boolean> {
  const { folder, label } = checkpoint;
  const { engine, jobs, store } = services;
  await saveOpenDocument(options.out);
  const title = localize('Finding budgets for {label}', { label });
  const work = (control: JobControl): Promise<BudgetResult> =>
    engine.request('budget', { ...options, checkpoint: folder }, control);
  const budget = await jobs.run(title, work, {
    ...jobOptions(options),
    again: () => solveAndOpen(services, checkpoint, options),
  });
  if (budget === undefined) {
    return false;
  }
  store.addBudget(folder, budget);
  // The engine may have measured for it: what it measured is in the history.
  await store.inspect(folder, true);
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(budget.plan ?? options.out));
  await vscode.window.showTextDocument(document, { preview: false });
  const outcome = budgetOutcome(budget);
  if (outcome !== undefined) {
    void tellOutcome(outcome);
  }
  return true;
}

/** Asks for objective, calibration text, budget and file, and writes the plan. */
export async function findBudgets(services: Services, argument?: unknown, options: BudgetOptions = {}): Promise<void> {
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint === undefined) {
    return;
  }
  const objective = options.objective ?? (await pickObjective(checkpoint));
  if (objective === undefined) {
    return;
  }
  const text = options.text ?? (await askForCalibration(services, checkpoint, objective));
  if (text === undefined) {
    return;
  }
  const given = options.total !== undefined || options.average !== undefined || options.limit !== undefined;
  const total = given ? options.total : await pickTotal(checkpoint);
  if (!given && total === undefined) {
    return;
  }
  const out = options.out ?? (await choosePlanFile(checkpoint.folder));
  if (out !== undefined) {
    const chosenTotal = total === undefined ? {} : { total };
    await solveAndOpen(services, checkpoint, { ...options, ...chosenTotal, objective, text, out });
  }
}

/** Offers to search the total of a point that was only predicted. */
async function offerSearch(
  services: Services,
  checkpoint: ReadyCheckpoint,
  options: BudgetOptions & { readonly out: string },
): Promise<void> {
  const search = localize('Measure and Improve');
  const message = localize('The plan holds the best predicted allocation of this total; it was not measured.');
  if ((await vscode.window.showInformationMessage(message, search)) === search) {
    await solveAndOpen(services, checkpoint, { ...options, objective: 'auto' });
  }
}

/** Makes one point of the front the plan, with what the front was computed from. */
export async function pickBudget(services: Services, folder: string, total: number): Promise<void> {
  const entry = services.store.get(folder);
  const checkpoint = await pickCheckpoint(services, folder);
  if (entry?.budget === undefined || checkpoint === undefined) {
    return;
  }
  const measuredTotals = (entry.measuredBudgets ?? []).map((run) => run.total);
  const { unmeasured, onText, ...request } = pointRequest(entry.budget, measuredTotals, total);
  const remembered = onText ? (rememberedCalibration(services, folder) ?? []) : [];
  const asks = onText && remembered.length === 0;
  const text = asks ? await askForCalibration(services, checkpoint, request.objective) : remembered;
  const out = text && (entry.budget.plan ?? (await choosePlanFile(folder)));
  if (text === undefined || out === undefined) {
    return;
  }
  const options = { ...request, text, total, out };
  if ((await solveAndOpen(services, checkpoint, options)) && unmeasured) {
    void offerSearch(services, checkpoint, options);
  }
}
