import { qualityOf } from '../measure/stateScores';
import { chooseHeldOut } from '../methods/budgets/heldOutChoice';
import type { BudgetResult } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import type { RuntimeOptions } from '../runtime/session';
import { AllocationMeasurements } from './allocationMeasurements';
import { autoBudget, type AutoBudget, type AutoBudgetRequest } from './autoBudget';
import { partOfJob } from './budgetTables';
import { budgetText, fewerWindows, type BudgetText } from './budgetText';
import type { CalibrationText } from './calibrationText';
import { factorsFor, gateScalesOnText, type GateScales } from './gateFactors';
import { measuredGates } from './measuredGates';
import { runtimeOptions } from './services';

/**
 * Tokens on which `auto` measures its table of single changes, a quarter of its calibration tokens: tables of two disjoint texts, as long as
 * all of these, give solutions that differ by half a percent of their damage at most, and the search that follows measures on all of them.
 * The strength of factors, a parabola in one number, needs no more either.
 */
const tableTokens = 6144;

export type AutoRun = Omit<AutoBudgetRequest, 'forTable' | 'measurements' | 'heldOut' | 'content'>;

export type AutoOnText = AutoBudget &
  Pick<BudgetResult, 'gates' | 'calibrationTokens' | 'heldOutTokens' | 'measurements'>;

/**
 * `auto` on its texts. On running text, where nobody said what to do with the gates, every allocation is measured as the plan would run
 * it: with a factor on the output of every layer's experts that makes up for missing ones on average. Layers that factors repair then
 * do not get experts in place of layers that they do not repair. The factors of the chosen allocation get the strength that measures
 * best, and stay where they help on text that nothing was measured on before.
 * @throws TunerError those of {@link budgetText} and {@link autoBudget}
 */
export async function autoOnText(run: AutoRun): Promise<AutoOnText> {
  const { model, params, services, job } = run;
  const text = await budgetText(model, params);
  const runtime = await runtimeOptions(services, job);
  const { cache } = services;
  const tableText = fewerWindows(text.search, tableTokens);
  let scales: GateScales | undefined;
  if (wantsFactors(run, text)) {
    const part = partOfJob(job, 0, scalesShare);
    part.progress(0, 'Measuring factors for fewer experts');
    scales = await gateScalesOnText({ model, runtime, job: part }, tableText, cache);
  }
  const opened: AllocationMeasurements[] = [];
  const measuring = async (content: CalibrationText, factors?: GateScales) => {
    const measurements = await AllocationMeasurements.create(model, content, runtime, cache, job, factors);
    opened.push(measurements);
    return measurements;
  };
  try {
    const measurements = await measuring(text.search, scales);
    const heldOut = text.heldOut === undefined ? undefined : await measuring(text.heldOut, scales);
    const forTable = tableText === text.search ? measurements : await measuring(tableText, scales);
    const searching = partOfJob(job, scalesShare, searchShare);
    const choice = await autoBudget({ ...run, forTable, measurements, heldOut, content: text.content, job: searching });
    // Their hidden states and sessions make room for what measures the factors.
    for (const finished of opened) {
      await finished.dispose();
    }
    const withGates =
      scales === undefined || isFull(run, choice)
        ? choice
        : await withMeasuredGates({ run, choice, text, tableText, scales, runtime, measuring });
    return {
      ...withGates,
      calibrationTokens: text.search.tokens,
      ...(text.heldOut === undefined ? {} : { heldOutTokens: text.heldOut.tokens }),
      measurements: opened.reduce((sum, { made }) => sum + made, 0),
    };
  } finally {
    for (const each of opened) {
      await each.dispose();
    }
  }
}

/** Where factors of all k and the search end, as shares of the progress. */
const scalesShare = 0.02;
const searchShare = 0.92;

/** Items are too short to tell whether factors help, so there they have to be asked for. */
function wantsFactors({ params }: AutoRun, { content, heldOut }: BudgetText): boolean {
  return params.gates === 'scale' || (params.gates === undefined && content === 'text' && heldOut !== undefined);
}

function isFull({ model }: AutoRun, { activeExperts }: AutoBudget): boolean {
  return activeExperts.every((k, at) => k >= model.resolved.blocks[at]!.activeExperts);
}

interface GatesOfChoice {
  readonly run: AutoRun;
  readonly choice: AutoBudget;
  readonly text: BudgetText;
  readonly tableText: CalibrationText;
  readonly scales: GateScales;
  readonly runtime: RuntimeOptions;
  readonly measuring: (content: CalibrationText) => Promise<AllocationMeasurements>;
}

const measuredWithFactors =
  "All candidates were measured with the factors on the experts' outputs that least squares give.";

const uniformWithoutFactors =
  'Without factors it was no better than uniform by more than the noise, so uniform was taken.';

async function withMeasuredGates(request: GatesOfChoice): Promise<AutoBudget & Pick<BudgetResult, 'gates'>> {
  const { run, choice, text, tableText, scales, runtime } = request;
  const { model, params, services, job } = run;
  const { activeExperts, notes: before = [] } = choice;
  const { seed } = params;
  const notes = [...before, measuredWithFactors];
  // What was measured so far holds with these factors.
  const leastSquares = { scale: factorsFor(scales, activeExperts), calibrationTokens: tableText.tokens, seed };
  if (choice.interrupted === true || text.heldOut === undefined) {
    return { ...choice, notes, gates: leastSquares };
  }
  const part = partOfJob(job, searchShare, 1);
  part.progress(0, 'Measuring factors for fewer experts');
  try {
    const asked = params.gates === 'scale';
    const texts = { search: tableText, heldOut: text.heldOut };
    const { cache } = services;
    const measured = await measuredGates({
      model,
      activeExperts,
      scales,
      ...texts,
      seed,
      asked,
      runtime,
      cache,
      job: part,
    });
    return measured.gates === undefined
      ? await withoutFactors(request, text.heldOut, [...notes, measured.note])
      : { ...choice, measured: measured.measured, notes: [...notes, measured.note], gates: measured.gates };
  } catch (error) {
    if (job.signal.aborted && TunerError.is(error, 'cancelled')) {
      return { ...choice, notes, gates: leastSquares, interrupted: true };
    }
    throw error;
  }
}

/** The choice without the factors it was measured with: uniform takes its place where that is as good without them. */
async function withoutFactors(
  { run, choice, text, measuring }: GatesOfChoice,
  heldOut: CalibrationText,
  notes: string[],
): Promise<AutoBudget> {
  run.job.progress(1, 'Comparing with uniform, without factors');
  const plain = await measuring(heldOut);
  const [taken, uniform] = [choice, choice.candidates?.find(({ name }) => name === 'uniform')];
  const finalists = [];
  for (const candidate of [{ ...taken, name: taken.chosen ?? '' }, ...(uniform === undefined ? [] : [uniform])]) {
    finalists.push({ ...candidate, windows: await plain.measureWindows(candidate.activeExperts) });
  }
  const { chosen, reason } = chooseHeldOut(finalists, text.content);
  const { activeExperts, predicted, name, windows } = finalists.find((finalist) => finalist === chosen)!;
  return {
    ...choice,
    activeExperts: [...activeExperts],
    predicted,
    chosen: name,
    measured: qualityOf(windows),
    notes: reason === 'uniform' && name !== taken.chosen ? [...notes, uniformWithoutFactors] : notes,
  };
}
