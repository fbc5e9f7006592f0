import { solveEvolutionary } from '../../engine/methods/budgets/evolutionarySolver';
import { solveExact } from '../../engine/methods/budgets/exactSolver';
import { solveGreedy } from '../../engine/methods/budgets/greedySolver';
import { budgetTable, totalLoss, type BudgetTable } from '../../engine/methods/budgets/lossTable';
import { searchMeasured } from '../../engine/methods/budgets/measuredSearch';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';
import { realisticRows } from '../support/budgetTables';

/** One measured number of a benchmark, with the limit it should keep when there is one. */
export interface BenchmarkLine {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The value should not be above (or for rates, below) this. */
  readonly limit?: number;
}

/** Middle of five runs in milliseconds, after two runs for the compiler. */
function milliseconds(action: () => unknown): number {
  const times = Array.from({ length: 7 }, () => {
    const start = performance.now();
    action();
    return performance.now() - start;
  }).slice(2);
  return times.sort((a, b) => a - b)[2] ?? NaN;
}

/** Milliseconds that the measured search itself takes per measurement, when measuring is free. */
async function searchOverhead(table: BudgetTable, total: number): Promise<number> {
  const uniform = table.layers.map(() => total / table.layers.length);
  const measure = (allocation: readonly number[]): Promise<number> =>
    Promise.resolve(totalLoss(table, allocation) ** 1.1);
  const search = searchMeasured({ table, total, starts: [uniform], evaluations: 12, measure });
  const start = performance.now();
  let measurements = 0;
  for await (const step of search) {
    measurements = step.evaluation;
  }
  return (performance.now() - start) / measurements;
}

/** Speed of the budget solvers on the largest layouts in use, and of the Gaussian probe input. */
export async function benchmarkBudgets(): Promise<BenchmarkLine[]> {
  const rows = realisticRows(94, 8, new SeededRandom(1));
  const table = budgetTable(rows.map((loss, layer) => ({ layer, loss })));
  const random = new SeededRandom(2);
  const costs = rows.map((row) => row.map((_, position) => (position + 1) * 40 + random.integerBelow(9)));
  const costly = budgetTable(
    rows.map((loss, layer) => ({ layer, loss })),
    undefined,
    costs,
  );
  const probe = new Float32Array(4_194_304);
  const exact = milliseconds(() => solveExact(table).points());
  const optimum = solveExact(table).at(376).predicted;
  const percentAbove = (predicted: number): number => 100 * (predicted / optimum - 1);
  return [
    { name: 'exact, 94 layers, k = 1…8, all budgets with allocations', value: exact, unit: 'ms', limit: 20 },
    {
      name: 'exact, same with costs in microseconds, solve only',
      value: milliseconds(() => solveExact(costly)),
      unit: 'ms',
    },
    { name: 'greedy, all budgets', value: milliseconds(() => solveGreedy(table)), unit: 'ms' },
    { name: 'evolutionary, one budget', value: milliseconds(() => solveEvolutionary(table, 376, 0)), unit: 'ms' },
    {
      name: 'greedy above the optimum at an average of 4',
      value: percentAbove(solveGreedy(table).at(376).predicted),
      unit: '%',
    },
    {
      name: 'evolutionary above the optimum',
      value: percentAbove(solveEvolutionary(table, 376, 0).predicted),
      unit: '%',
    },
    {
      name: 'measured search, own time per measurement',
      value: await searchOverhead(table, 376),
      unit: 'ms',
    },
    {
      name: 'standard normal numbers',
      value: probe.length / milliseconds(() => fillStandardNormal(probe, random)) / 1000,
      unit: 'M/s',
      limit: 60,
    },
  ];
}

for (const { name, value, unit, limit } of await benchmarkBudgets()) {
  console.log(`${name}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit})`}`);
}
