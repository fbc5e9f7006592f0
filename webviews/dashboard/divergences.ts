import type { BudgetResult } from '../../engine/protocol/budget';
import type { MeasuredBudget } from '../../engine/protocol/dashboard';
import type { DivergenceMark } from '../charts/frontChartData';
import { isControl } from './evidenceModel';

/** Whether a result predicts KL divergence in nats per token, which its end-to-end table does. */
export function predictsDivergence({ objective, calibrationTokens }: BudgetResult): boolean {
  return calibrationTokens !== undefined && (objective === 'auto' || objective === 'end-to-end');
}

/**
 * The runs whose divergences can stand side by side, oldest first: of the same layers, on as many calibration tokens as the newest,
 * since divergences on different texts do not compare. The shown result itself comes last where it measured.
 */
function comparableRuns(budget: BudgetResult, measuredBudgets: readonly MeasuredBudget[]): MeasuredBudget[] {
  const others = measuredBudgets.filter(({ total }) => budget.measured === undefined || total !== budget.total);
  const runs = [...others, ...(budget.measured === undefined ? [] : [budget])].filter(({ layers }) => {
    return layers.join() === budget.layers.join();
  });
  const tokens = budget.calibrationTokens ?? runs.at(-1)?.calibrationTokens;
  return runs.filter(({ calibrationTokens }) => calibrationTokens === tokens);
}

/** Measured KL of what was taken, by total of active experts. */
export function divergencesByTotal(
  budget: BudgetResult,
  measuredBudgets: readonly MeasuredBudget[],
): ReadonlyMap<number, number> {
  const byTotal = new Map<number, number>();
  for (const { total, measured } of comparableRuns(budget, measuredBudgets)) {
    if (measured !== undefined) {
      byTotal.set(total, measured.kl);
    }
  }
  return byTotal;
}

/** What every run took, and all other candidates of the newest one. */
export function divergenceMarks(
  budget: BudgetResult,
  measuredBudgets: readonly MeasuredBudget[],
  rows: readonly { readonly total: number }[],
): DivergenceMark[] {
  const runs = comparableRuns(budget, measuredBudgets);
  const layers = Math.max(1, budget.layers.length);
  const newest = runs.at(-1);
  const others = (newest?.candidates ?? []).filter(({ activeExperts }) => {
    return activeExperts.join() !== newest?.activeExperts.join();
  });
  const at = (total: number): Pick<DivergenceMark, 'x' | 'row'> => {
    return { x: total / layers, row: rows.findIndex((row) => row.total === total) };
  };
  return [
    ...runs.flatMap(({ total, measured }): DivergenceMark[] => {
      return measured === undefined ? [] : [{ ...at(total), y: measured.kl, kind: 'taken' }];
    }),
    ...others.flatMap((candidate): DivergenceMark[] => {
      const { activeExperts, measured } = candidate;
      const total = activeExperts.reduce((sum, k) => sum + k, 0);
      const kind = isControl(candidate) ? 'control' : 'candidate';
      return measured === null ? [] : [{ ...at(total), y: measured.kl, kind }];
    }),
  ];
}
