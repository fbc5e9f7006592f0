import path from 'node:path';
import type { JobContext } from '../measure/jobContext';
import { chooseBudgets, chooseFromRows, totalForAverage } from '../methods/budgets/chooseBudgets';
import type { BudgetGuards, LayerToBudget } from '../methods/budgets/layerBounds';
import { objectiveNamed } from '../methods/budgets/objectives';
import type { BudgetParams, BudgetResult, ObjectiveName } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import { AllocationMeasurements } from './allocationMeasurements';
import { autoOnText } from './autoOnText';
import { openBlockClock } from './blockClock';
import { chooseByCost, countedCosts, type CostTable } from './budgetCosts';
import { lossRows } from './budgetTables';
import { assertGates, gateCorrection } from './budgetGates';
import { budgetText } from './budgetText';
import { isOnnxModel } from '../onnxModel/isOnnxModel';
import { budgetOnnx } from './budgetOnnx';
import { openModel, planTarget, type OpenModel } from './openModel';
import { assertPlanAccepts, lockedLayers, updatePlan } from './planFile';
import { runtimeOptions, type EngineServices } from './services';

/** What `auto` falls back to where there is no text to measure on; it says so in the notes. */
const dataFreeObjective = 'relative-squared' satisfies ObjectiveName;

/** Everything that choosing needs, prepared once. */
interface BudgetRun {
  readonly params: BudgetParams;
  readonly model: OpenModel;
  readonly layers: readonly LayerToBudget[];
  readonly guards: BudgetGuards;
  readonly total: number | undefined;
  readonly services: EngineServices;
  readonly job: JobContext;
}

type Choice = Omit<BudgetResult, 'checkpoint' | 'fingerprint' | 'objective' | 'solver' | 'layers' | 'seed' | 'seconds'>;

/**
 * Chooses active experts per MoE layer for a total, an average or a cost limit, gives the front, and writes a plan.
 * Measures what the objective needs first; what was measured before comes from the cache.
 * @throws TunerError `usage`, `infeasibleBudget`, `malformedPlan`, `writeFailed`, and those of profiling and measuring
 */
export async function budget(params: BudgetParams, services: EngineServices, job: JobContext): Promise<BudgetResult> {
  if (await isOnnxModel(params.checkpoint)) {
    return budgetOnnx(params);
  }
  const start = performance.now();
  const model = await openModel(params.checkpoint);
  if (params.out !== undefined) {
    await assertPlanAccepts(path.resolve(params.out), planTarget(model));
  }
  const locked = params.out === undefined ? undefined : await lockedLayers(path.resolve(params.out), planTarget(model));
  const run = prepare(params, model, locked, services, job);
  const choice = await choose(run);
  const gates = choice.gates ?? (await gateCorrection(model, choice.activeExperts, params, services, job));
  const result: BudgetResult = {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    objective: params.objective,
    solver: params.solver,
    layers: run.layers.map(({ index }) => index),
    ...choice,
    ...(gates === undefined ? {} : { gates }),
    seed: params.seed,
    seconds: (performance.now() - start) / 1000,
    ...(params.out === undefined ? {} : { plan: path.resolve(params.out) }),
  };
  if (result.plan !== undefined) {
    await writePlan(result.plan, model, result);
  }
  await services.cache.addResult(model.resultsKey, 'budget', result);
  return result;
}

/** Checks the request before anything is measured: a typing mistake must not cost minutes. */
function prepare(
  params: BudgetParams,
  model: OpenModel,
  perLayer: BudgetGuards['perLayer'],
  services: EngineServices,
  job: JobContext,
): BudgetRun {
  if (params.average !== undefined && params.total !== undefined) {
    throw new TunerError('usage', 'Give an average or a total, not both.', { place: '--average, --total' });
  }
  const byCost = params.cost !== 'active-experts';
  if (byCost !== (params.limit !== undefined) || (byCost && (params.average ?? params.total) !== undefined)) {
    throw new TunerError('usage', 'A cost other than active experts goes with a limit, and a limit with such a cost.', {
      place: '--cost, --limit',
      wayOut: 'Give --cost flops, bytes or microseconds together with --limit, or --total or --average alone.',
    });
  }
  assertGates(model, params.gates);
  const layers = model.resolved.blocks.map(({ layer, activeExperts, router }) => ({
    index: layer,
    activeExperts,
    fixed: router.sparseMixer !== undefined,
  }));
  const fixed = layers.filter((layer) => layer.fixed).map(({ index }) => index);
  const { minimumActive, maximumActive, objective, solver, seed } = params;
  const pinned = [...new Set([...params.pinned, ...fixed])];
  const guards: BudgetGuards = { minimumActive, maximumActive, pinned, perLayer };
  const total = params.average === undefined ? params.total : totalForAverage(params.average, layers.length);
  const { minimumActive: minimum, ...rest } = guards;
  chooseBudgets({ layers, objective: 'uniform', solver: 'exact', total, minimumActive: minimum, guards: rest, seed });
  if (objective === 'auto' && solver !== 'exact') {
    throw new TunerError(
      'usage',
      `The objective "auto" uses the exact solver and a measured search, not "${solver}".`,
      {
        place: '--solver',
        wayOut: 'Leave the solver out, or name an objective.',
      },
    );
  }
  return { params, model, layers, guards, total, services, job };
}

async function choose(run: BudgetRun): Promise<Choice> {
  const { params, model, services, job } = run;
  const objective = objectiveNamed(params.objective);
  const measuresModel = objective.kind === 'measured' || objective.kind === 'automatic';
  if (objective.kind === 'automatic' && params.text.length + params.tasks.length === 0) {
    const choice = await chooseByName(run, dataFreeObjective, undefined);
    const note = `No calibration text was given, so nothing was measured on the whole model: the data-free objective "${dataFreeObjective}" chose.`;
    return { ...choice, chosen: dataFreeObjective, notes: [note] };
  }
  if (!measuresModel) {
    return chooseByName(run, params.objective, undefined);
  }
  if (objective.kind === 'automatic' && run.total !== undefined) {
    return autoOnText({ ...run, total: run.total });
  }
  const { search } = await budgetText(model, params);
  const runtime = await runtimeOptions(services, job);
  const measurements = await AllocationMeasurements.create(model, search, runtime, services.cache, job);
  try {
    const name = objective.kind === 'measured' ? params.objective : 'end-to-end';
    const choice = await chooseByName(run, name, measurements);
    return {
      ...choice,
      ...(name === params.objective ? {} : { chosen: name }),
      calibrationTokens: search.tokens,
      measurements: measurements.made,
    };
  } finally {
    await measurements.dispose();
  }
}

/** One objective, one solver, and the cost the person counts in. */
async function chooseByName(
  run: BudgetRun,
  name: ObjectiveName,
  measurements: AllocationMeasurements | undefined,
): Promise<Choice> {
  const { params, model, layers, guards, total, services, job } = run;
  const { solver, seed, cost, limit, batch } = params;
  const { minimumActive, ...rest } = guards;
  const rows = await lossRows(objectiveNamed(name), model, params, services, measurements, job);
  const table = rows?.map(({ layer, loss }) => ({ layer, loss: [...loss] }));
  if (rows === undefined || table === undefined) {
    if (cost !== 'active-experts') {
      throw new TunerError('usage', `The control "${name}" is defined for totals of active experts only.`, {
        place: '--objective',
      });
    }
    return chooseBudgets({ layers, objective: name, solver, total, minimumActive, guards: rest, seed });
  }
  if (cost === 'active-experts' || limit === undefined) {
    return { ...chooseFromRows({ layers, solver, total, minimumActive, guards: rest, seed }, rows), table };
  }
  const chosenBy = (costs: CostTable) => ({ ...chooseByCost(rows, layers, guards, costs, limit), table, cost });
  if (cost !== 'microseconds') {
    return chosenBy(countedCosts(cost, model.resolved.blocks, batch));
  }
  const clock = await openBlockClock(model, batch, await runtimeOptions(services, job), services, job);
  try {
    const choice = chosenBy({ cost, columns: await clock.table() });
    const measuredCost = await clock.total(choice.activeExperts);
    return { ...choice, measuredCost, notes: [`The layers were timed ${clock.form}, ${batch} tokens at once.`] };
  } finally {
    await clock.dispose();
  }
}

async function writePlan(file: string, model: OpenModel, result: BudgetResult): Promise<void> {
  const { resolved, checkpoint, fingerprint } = model;
  const { chosen, measured, calibrationTokens } = result;
  await updatePlan(file, {
    source: {
      checkpoint: path.basename(checkpoint.folder),
      family: resolved.recognised.record.name,
      fingerprint,
      experts: resolved.experts,
      activeExperts: resolved.activeExperts,
    },
    activeExperts: result.activeExperts,
    gates: result.gates,
    budget: {
      objective: result.objective,
      solver: result.solver,
      total: result.total,
      predicted: result.predicted,
      ...(chosen === undefined ? {} : { chosen }),
      ...(measured === undefined ? {} : { measuredKl: measured.kl }),
      ...(calibrationTokens === undefined ? {} : { calibrationTokens }),
      seed: result.seed,
    },
  });
}
