import { solveExact } from '../methods/budgets/exactSolver';
import { budgetTable } from '../methods/budgets/lossTable';
import type { SolveBudgetsParams, SolveBudgetsResult } from '../protocol/solveBudgets';

/**
 * The exact front of a table of losses under bounds: what the plan editor asks for whenever a layer is locked or let go. Nothing is
 * measured and nothing is stored, so it runs beside a job.
 * @throws TunerError `infeasibleBudget` when a layer has no allowed k
 */
export function solveBudgets({ layers }: SolveBudgetsParams): Promise<SolveBudgetsResult> {
  const bounds = { minimum: layers.map(({ minimum }) => minimum), maximum: layers.map(({ maximum }) => maximum) };
  const points = solveExact(budgetTable(layers, bounds)).points();
  return Promise.resolve({
    points: points.map(({ total, predicted, activeExperts }) => ({
      total,
      average: total / layers.length,
      predicted,
      activeExperts: [...activeExperts],
    })),
  });
}
