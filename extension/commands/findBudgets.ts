import * as vscode from 'vscode';
import { formatPercent } from '../common/format';
import { localize } from '../common/localize';
import type { ObjectiveName } from '../../engine/protocol/budget';
import type { EngineParams } from '../engine/supervisor';
import { offeredObjectives, totalChoices, totalProblem } from './budgetChoices';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import { choosePlanFile, saveOpenDocument } from './planLocation';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export type BudgetOptions = Partial<Omit<EngineParams<'budget'>, 'checkpoint'>>;

async function pickObjective(): Promise<ObjectiveName | undefined> {
  const items = offeredObjectives().map(([label, description]) => ({ label, description }));
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

/** Solves budgets, writes them into a plan file and opens it. */
export async function solveAndOpen(
  services: Services,
  { folder, label }: ReadyCheckpoint,
  options: BudgetOptions & { readonly out: string },
): Promise<void> {
  const { engine, jobs, store } = services;
  await saveOpenDocument(options.out);
  const title = localize('Finding budgets for {label}', { label });
  const budget = await jobs.run(title, (control) =>
    engine.request('budget', { ...options, checkpoint: folder }, control),
  );
  if (budget === undefined) {
    return;
  }
  store.addBudget(folder, budget);
  // The engine may have measured for it: what it measured is in the history.
  await store.inspect(folder, true);
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(budget.plan ?? options.out));
  await vscode.window.showTextDocument(document, { preview: false });
}

/** Asks for objective, budget and file, and writes the plan. */
export async function findBudgets(services: Services, argument?: unknown, options: BudgetOptions = {}): Promise<void> {
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint === undefined) {
    return;
  }
  const objective = options.objective ?? (await pickObjective());
  if (objective === undefined) {
    return;
  }
  const given = options.total !== undefined || options.average !== undefined;
  const total = given ? options.total : await pickTotal(checkpoint);
  if (!given && total === undefined) {
    return;
  }
  const out = options.out ?? (await choosePlanFile(checkpoint.folder));
  if (out !== undefined) {
    const chosenTotal = total === undefined ? {} : { total };
    await solveAndOpen(services, checkpoint, { ...options, ...chosenTotal, objective, out });
  }
}

/** Makes one point of the front the plan: the same objective and solver at another total. */
export async function pickBudget(services: Services, folder: string, total: number): Promise<void> {
  const budget = services.store.get(folder)?.budget;
  const checkpoint = await pickCheckpoint(services, folder);
  if (budget === undefined || checkpoint === undefined) {
    return;
  }
  const out = budget.plan ?? (await choosePlanFile(folder));
  if (out !== undefined) {
    const { objective, solver, seed } = budget;
    await solveAndOpen(services, checkpoint, { objective, solver, seed, total, out });
  }
}
