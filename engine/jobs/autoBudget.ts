import type { JobContext } from '../measure/jobContext';
import { chooseFromRows } from '../methods/budgets/chooseBudgets';
import { layerBounds, type BudgetGuards, type LayerToBudget } from '../methods/budgets/layerBounds';
import { budgetTable, totalLoss, type LossRow } from '../methods/budgets/lossTable';
import { searchMeasured } from '../methods/budgets/measuredSearch';
import type { WindowContent } from '../methods/budgets/heldOutChoice';
import { objectiveNamed } from '../methods/budgets/objectives';
import { rankCorrelation } from '../methods/budgets/rankCorrelation';
import { worthStarting } from '../methods/budgets/worthStarting';
import type { AllocationQuality, BudgetParams, BudgetResult, ObjectiveName } from '../protocol/budget';
import { cancelledError } from '../protocol/errors';
import type { AllocationMeasurements } from './allocationMeasurements';
import { lossRows, partOfJob } from './budgetTables';
import { chooseFinally } from './finalBudget';
import type { OpenModel } from './openModel';
import type { EngineServices } from './services';

/** Objectives whose exact solutions become candidates besides the end-to-end table, which the search itself uses. */
const candidateObjectives = [
  'maple',
  'calibrated',
  'relative-squared',
  'squared',
  'lexi',
] as const satisfies ObjectiveName[];

/**
 * The search ends when it expects less than this share of the KL from one more measurement: other text of the same size moves the
 * difference of two near allocations by some thousandths of it.
 */
const negligible = 3e-4;

/** Controls that are always measured; the random one with two seeds. */
const controls = [
  { name: 'uniform', seedOffset: 0 },
  { name: 'random', seedOffset: 0 },
  { name: 'random', seedOffset: 1 },
] as const;

/** Where parts of the job end, as shares of its progress: end-to-end table, profiles, search. */
const tableShare = 0.5;
const profileShare = 0.6;
const searchShare = 0.85;

export interface AutoBudgetRequest {
  readonly model: OpenModel;
  readonly layers: readonly LayerToBudget[];
  readonly guards: BudgetGuards;
  readonly total: number;
  readonly params: BudgetParams;
  readonly services: EngineServices;
  /** On the text that tables of single changes are measured on; may be the same as `measurements`. */
  readonly forTable: AllocationMeasurements;
  readonly measurements: AllocationMeasurements;
  /** The same on windows that the search does not see; absent where the texts are too short. */
  readonly heldOut: AllocationMeasurements | undefined;
  readonly content: WindowContent;
  readonly job: JobContext;
}

export type AutoBudget = Pick<
  BudgetResult,
  | 'activeExperts'
  | 'total'
  | 'predicted'
  | 'uniformPredicted'
  | 'front'
  | 'chosen'
  | 'measured'
  | 'candidates'
  | 'rankCorrelation'
  | 'interrupted'
  | 'table'
  | 'notes'
>;

/**
 * The best measured allocation of a total: exact solutions of several objectives and the controls are measured on calibration
 * text (KL to the full model), then a search over moves of single experts starts from the best. All of them, uniform included, and
 * the best of the search are compared on text that the search did not see. Cancelling ends it with the best so far once
 * something was measured.
 * @throws TunerError `cancelled` before the first measurement, and those of profiling and measuring
 */
export async function autoBudget(request: AutoBudgetRequest): Promise<AutoBudget> {
  const { layers, guards, total, params, measurements, job } = request;
  const rows = await endToEndRows(request);
  const table = budgetTable(rows, layerBounds(layers, guards));
  const solved = chooseFromRows({ layers, solver: 'exact', total, seed: params.seed, ...guardParts(guards) }, rows);
  const named = [{ name: 'end-to-end', activeExperts: solved.activeExperts }, ...(await otherCandidates(request))];
  const predict = (allocation: readonly number[]) => totalLoss(table, allocation);
  const distinct = unique(named.map(({ activeExperts }) => activeExperts));
  // The others are measured for comparison, on the other text; without one the search is where they are measured.
  const starts = request.heldOut === undefined ? distinct : worthStarting(distinct, predict);
  if (request.forTable !== measurements) {
    await request.forTable.dispose();
  }
  const qualities = new Map<string, AllocationQuality>();
  const search = searchMeasured({
    table,
    total,
    starts,
    evaluations: Math.max(params.evaluations, 1),
    negligible,
    signal: job.signal,
    measure: async (allocation, { base }) => {
      const quality = await measurements.measure(allocation, { keep: [base], trace: true });
      qualities.set(allocation.join(), quality);
      return quality.kl;
    },
  });
  for (;;) {
    const next = await search.next();
    if (next.done === true) {
      break;
    }
    const { evaluation, best } = next.value;
    const share = Math.min(1, evaluation / params.evaluations);
    const message = `Measurement ${evaluation}: best KL so far ${best.measured.toPrecision(4)} nats`;
    job.progress(profileShare + (searchShare - profileShare) * share, message);
  }
  if (qualities.size === 0) {
    throw cancelledError();
  }
  const { candidates, chosen, notes } = await chooseFinally({
    named,
    searched: qualities,
    heldOut: request.heldOut,
    content: request.content,
    predict,
    job: partOfJob(job, searchShare, 1),
  });
  const both = candidates.filter(({ measured }) => measured !== null);
  return {
    activeExperts: chosen.activeExperts,
    total: chosen.activeExperts.reduce((sum, k) => sum + k, 0),
    predicted: chosen.predicted,
    uniformPredicted: solved.uniformPredicted,
    front: solved.front,
    chosen: chosen.name,
    measured: chosen.measured,
    candidates,
    rankCorrelation: rankCorrelation(
      both.map(({ activeExperts }) => predict(activeExperts)),
      both.map(({ measured }) => measured!.kl),
    ),
    table: rows.map(({ layer, loss }) => ({ layer, loss: [...loss] })),
    notes,
    ...(job.signal.aborted ? { interrupted: true } : {}),
  };
}

async function endToEndRows({ model, params, services, forTable, job }: AutoBudgetRequest): Promise<LossRow[]> {
  const part = partOfJob(job, 0, tableShare);
  const rows = await lossRows(objectiveNamed('end-to-end'), model, params, services, forTable, part);
  return rows ?? [];
}

async function otherCandidates(request: AutoBudgetRequest): Promise<{ name: string; activeExperts: number[] }[]> {
  const { model, layers, guards, total, params, services, forTable, job } = request;
  const found: { name: string; activeExperts: number[] }[] = [];
  const step = (profileShare - tableShare) / candidateObjectives.length;
  for (const [at, name] of candidateObjectives.entries()) {
    const objective = objectiveNamed(name);
    if (objective.kind === 'table' && objective.input === 'calibration' && params.text.length === 0) {
      continue;
    }
    const part = partOfJob(job, tableShare + at * step, tableShare + (at + 1) * step);
    const rows = await lossRows(objective, model, params, services, forTable, part);
    if (rows !== undefined) {
      const chosen = chooseFromRows({ layers, solver: 'exact', total, seed: params.seed, ...guardParts(guards) }, rows);
      found.push({ name, activeExperts: chosen.activeExperts });
    }
  }
  const bounds = layerBounds(layers, guards);
  for (const { name, seedOffset } of controls) {
    const control = objectiveNamed(name);
    if (control.kind === 'allocation') {
      found.push({ name, activeExperts: control.allocate(bounds, total, params.seed + seedOffset) });
    }
  }
  return found;
}

function guardParts({ minimumActive, ...guards }: BudgetGuards): {
  minimumActive: number;
  guards: Omit<BudgetGuards, 'minimumActive'>;
} {
  return { minimumActive, guards };
}

function unique(allocations: readonly (readonly number[])[]): number[][] {
  return [...new Map(allocations.map((allocation) => [allocation.join(), [...allocation]])).values()];
}
