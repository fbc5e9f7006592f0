import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import { byteCosts, flopCosts, wholeCosts, type LayerCostFacts } from '../methods/budgets/costs';
import { layerBounds, type BudgetGuards, type LayerToBudget } from '../methods/budgets/layerBounds';
import { budgetTable, totalCost, totalLoss, type LossRow } from '../methods/budgets/lossTable';
import { solveExact } from '../methods/budgets/exactSolver';
import type { BudgetResult, CostName } from '../protocol/budget';
import { TunerError } from '../protocol/errors';

/** Costs by MoE layer and k-1 in a unit of their own. */
export interface CostTable {
  readonly cost: CostName;
  readonly columns: readonly (readonly number[])[];
}

/** What an active expert costs in every layer, counted from the shapes. */
export function countedCosts(cost: 'flops' | 'bytes', blocks: readonly MoeBlockSpec[], batch: number): CostTable {
  const facts = blocks.map(costFacts);
  return { cost, columns: cost === 'flops' ? flopCosts(facts) : byteCosts(facts, batch) };
}

/** Most points of a cost front that a result lists, evenly chosen. */
const listedPoints = 200;

/**
 * The allocation with the smallest predicted loss whose cost stays within a limit, and the front of such allocations.
 * @throws TunerError `infeasibleBudget` naming the cheapest and the dearest allocation
 */
export function chooseByCost(
  rows: readonly LossRow[],
  layers: readonly LayerToBudget[],
  guards: BudgetGuards,
  costs: CostTable,
  limit: number,
): Pick<
  BudgetResult,
  'activeExperts' | 'total' | 'predicted' | 'uniformPredicted' | 'front' | 'totalCost' | 'fullCost'
> {
  const { costs: columns, unit } = wholeCosts(costs.columns);
  const table = budgetTable(rows, layerBounds(layers, guards), columns);
  const front = solveExact(table);
  const exactCost = (allocation: readonly number[]) =>
    allocation.reduce((sum, k, layer) => sum + costs.columns[layer]![k - 1]!, 0);
  if (Math.floor(limit / unit) < front.lowest) {
    throw new TunerError('infeasibleBudget', `No allocation costs as little as ${limit} ${costs.cost}.`, {
      place: '--limit',
      wayOut: `The cheapest costs ${format(front.lowest * unit)}, the model as trained ${format(front.highest * unit)}.`,
    });
  }
  const chosen = front.atMost(Math.min(Math.floor(limit / unit), front.highest));
  const pareto = front.pareto();
  const every = Math.max(1, Math.ceil(pareto.length / listedPoints));
  const points = pareto.filter((_, at) => at % every === 0 || at === pareto.length - 1);
  const sum = (allocation: readonly number[]) => allocation.reduce((total, k) => total + k, 0);
  const uniform = uniformWithin(table, Math.floor(limit / unit));
  return {
    activeExperts: [...chosen.activeExperts],
    total: sum(chosen.activeExperts),
    predicted: chosen.predicted,
    uniformPredicted: uniform === undefined ? null : totalLoss(table, uniform),
    front: points.map(({ predicted, activeExperts }) => ({
      total: sum(activeExperts),
      average: sum(activeExperts) / layers.length,
      predicted,
      activeExperts: [...activeExperts],
      cost: exactCost(activeExperts),
    })),
    totalCost: exactCost(chosen.activeExperts),
    fullCost: exactCost(layers.map(({ activeExperts }) => activeExperts)),
  };
}

/** The largest k that fits the limit when every layer has it (or its maximum, where that is smaller). */
function uniformWithin(table: ReturnType<typeof budgetTable>, limit: number): number[] | undefined {
  const most = Math.max(...table.layers.map(({ maximum }) => maximum));
  for (let k = most; k >= 1; k -= 1) {
    const allocation = table.layers.map(({ minimum, maximum }) => Math.min(Math.max(k, minimum), maximum));
    if (totalCost(table, allocation) <= limit) {
      return allocation;
    }
  }
  return undefined;
}

function costFacts(block: MoeBlockSpec): LayerCostFacts {
  const [expert] = block.experts;
  return {
    hidden: block.hiddenSize,
    intermediate: block.intermediateSize,
    matrices: expert?.layout === 'ungated' ? 2 : 3,
    experts: block.experts.length,
    activeExperts: block.activeExperts,
    expertBytes: specTensors(expert).reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

function format(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
