import type { BudgetResult, FrontPoint, ObjectiveName, SolverName } from '../../protocol/budget';
import { TunerError } from '../../protocol/errors';
import type { ProfileResult } from '../../protocol/sensitivity';
import type { BudgetFront, BudgetPoint } from './budgetFront';
import { solveEvolutionary } from './evolutionarySolver';
import { solveExact } from './exactSolver';
import { solveGreedy } from './greedySolver';
import { layerBounds, type BudgetGuards, type LayerToBudget } from './layerBounds';
import { budgetTable, costRange, totalLoss, type BudgetTable, type LayerBounds, type LossRow } from './lossTable';
import type { AllocationObjective, TableObjective } from './objective';
import { objectiveNamed } from './objectives';
import { uniformAllocation } from './uniform';

export interface ChooseBudgetsRequest {
  /** MoE layers in model order. */
  readonly layers: readonly LayerToBudget[];
  /** Needed by every objective whose `needs` is "profile"; its layers must be the ones above. */
  readonly profile?: ProfileResult | undefined;
  readonly objective: ObjectiveName;
  readonly solver: SolverName;
  /** Active experts summed over the layers; left out, nothing is taken away and only the front is of interest. */
  readonly total?: number | undefined;
  readonly minimumActive: number;
  /** Further bounds; none by default. */
  readonly guards?: Omit<BudgetGuards, 'minimumActive'> | undefined;
  readonly seed: number;
}

/** The parts of a budget result that are decided here. */
export type ChosenBudgets = Pick<BudgetResult, 'activeExperts' | 'total' | 'predicted' | 'uniformPredicted' | 'front'>;

/** The MoE layers of a profile, as the layers that get budgets. */
export function layersOfProfile(profile: ProfileResult): LayerToBudget[] {
  return profile.layers.map(({ index, raw }) => ({ index, activeExperts: raw.length }));
}

/** The total of an average over the layers: the largest whole number that does not exceed it. */
export function totalForAverage(average: number, layerCount: number): number {
  // An average such as 2.3 times 10 layers must give 23 although the product is 22.999….
  return Math.floor(average * layerCount + 1e-9);
}

/**
 * Active experts per MoE layer for one total, and for every other total as the front.
 *
 * The front has one point per feasible total, except for the evolutionary search, which solves one total at a time: it has the
 * whole averages and the total that was asked for. Controls (uniform, random) predict nothing.
 *
 * @throws TunerError `infeasibleBudget` when the total or the minimum cannot be met, naming the feasible range; `usage` when the
 * objective needs a profile and none, or one of another probe input, was given; `internal` when the profile is of other layers.
 */
export function chooseBudgets(request: ChooseBudgetsRequest): ChosenBudgets {
  const objective = objectiveNamed(request.objective);
  if (objective.kind === 'table') {
    return chooseFromRows(request, profileRows(request, objective));
  }
  if (objective.kind === 'allocation') {
    const bounds = layerBounds(request.layers, { ...request.guards, minimumActive: request.minimumActive });
    return chooseFromControl(request, objective, bounds);
  }
  throw new TunerError('usage', `The objective "${request.objective}" needs measurements on the whole model.`);
}

function profileRows(request: ChooseBudgetsRequest, objective: TableObjective): LossRow[] {
  const { profile, layers } = request;
  if (profile === undefined) {
    throw new TunerError('usage', `The objective "${objective.name}" needs a sensitivity profile.`);
  }
  if (profile.input !== objective.input) {
    const given = `the profile given was made with "${profile.input}"`;
    throw new TunerError(
      'usage',
      `The objective "${objective.name}" needs probe input "${objective.input}", ${given}.`,
    );
  }
  assertSameLayers(profile, layers);
  return objective.lossRows(profile);
}

/** The same from predicted losses by layer and k-1, whatever they come from. */
export function chooseFromRows(
  request: Omit<ChooseBudgetsRequest, 'objective' | 'profile'>,
  rows: readonly LossRow[],
): ChosenBudgets {
  const { layers, solver, seed } = request;
  const bounds = layerBounds(layers, { ...request.guards, minimumActive: request.minimumActive });
  const table = budgetTable(rows, bounds);
  const { lowest, highest } = costRange(table);
  const total = request.total ?? highest;
  if (solver === 'evolutionary') {
    const chosen = solveEvolutionary(table, total, seed);
    const totals = wholeAverages(lowest, highest, layers.length).filter((other) => other !== total);
    const points = [chosen, ...totals.map((other) => solveEvolutionary(table, other, seed))];
    return result(table, chosen, points, bounds);
  }
  const front: BudgetFront = solver === 'exact' ? solveExact(table) : solveGreedy(table);
  return result(table, front.at(total), front.points(), bounds);
}

function chooseFromControl(
  request: ChooseBudgetsRequest,
  objective: AllocationObjective,
  bounds: LayerBounds,
): ChosenBudgets {
  // A table of zeros: the same checks of the bounds, and the same range, as for objectives that measure something.
  const rows = request.layers.map(({ index, activeExperts }) => ({
    layer: index,
    loss: new Array<number>(activeExperts).fill(0),
  }));
  const { lowest, highest } = costRange(budgetTable(rows, bounds));
  const total = request.total ?? highest;
  const front: FrontPoint[] = [];
  for (let other = lowest; other <= highest; other++) {
    const activeExperts = objective.allocate(bounds, other, request.seed);
    front.push({ total: other, average: other / request.layers.length, predicted: null, activeExperts });
  }
  const activeExperts = objective.allocate(bounds, total, request.seed);
  return { activeExperts, total, predicted: null, uniformPredicted: null, front };
}

function result(
  table: BudgetTable,
  chosen: BudgetPoint,
  points: readonly BudgetPoint[],
  bounds: LayerBounds,
): ChosenBudgets {
  const layerCount = table.layers.length;
  const front = points
    .map(({ total, predicted, activeExperts }) => ({
      total,
      average: total / layerCount,
      predicted,
      activeExperts: [...activeExperts],
    }))
    .sort((a, b) => a.total - b.total);
  return {
    activeExperts: [...chosen.activeExperts],
    total: chosen.total,
    predicted: chosen.predicted,
    uniformPredicted: totalLoss(table, uniformAllocation(bounds, chosen.total)),
    front,
  };
}

/** The totals between the bounds at which every layer could have the same number of experts. */
function wholeAverages(lowest: number, highest: number, layerCount: number): number[] {
  const totals: number[] = [];
  for (let total = Math.ceil(lowest / layerCount) * layerCount; total <= highest; total += layerCount) {
    totals.push(total);
  }
  return totals;
}

function assertSameLayers(profile: ProfileResult, layers: readonly LayerToBudget[]): void {
  const same =
    profile.layers.length === layers.length &&
    layers.every((layer, position) => {
      const profiled = profile.layers[position];
      return profiled?.index === layer.index && profiled.raw.length === layer.activeExperts;
    });
  if (!same) {
    throw new TunerError('internal', 'The sensitivity profile does not cover the MoE layers of this checkpoint.');
  }
}
