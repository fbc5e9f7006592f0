import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { budget } from '../../engine/jobs/budget';
import { budgetText } from '../../engine/jobs/budgetText';
import { createServices } from '../../engine/jobs/createServices';
import { attentionHeads } from '../../engine/jobs/evaluate';
import { openModel } from '../../engine/jobs/openModel';
import { AllocationMeter } from '../../engine/measure/allocationMeter';
import { quietJob } from '../../engine/measure/jobContext';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { solveEvolutionary } from '../../engine/methods/budgets/evolutionarySolver';
import { solveExact } from '../../engine/methods/budgets/exactSolver';
import { solveGreedy } from '../../engine/methods/budgets/greedySolver';
import { budgetTable, totalLoss, type BudgetTable } from '../../engine/methods/budgets/lossTable';
import { searchMeasured } from '../../engine/methods/budgets/measuredSearch';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';
import { budgetParamsSchema } from '../../engine/protocol/budget';
import { sample } from '../../scripts/support/paths.mjs';
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

/** Predicted time of a plan with a limit in microseconds, against the time measured after it was chosen. */
async function benchmarkLatencyCosts(): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-bench-'));
  const settings = {
    provider: 'cpu' as const,
    threads: 2,
    cacheDirectory: folder,
    cacheLimitBytes: 2 ** 30,
    hiddenMemoryBytes: 2 ** 30,
  };
  const services = createServices(settings, folder, () => undefined);
  const solve = (limit: number) => {
    const request = { checkpoint: sample, objective: 'relative-squared', cost: 'microseconds', limit };
    return budget(budgetParamsSchema.parse(request), services, quietJob());
  };
  try {
    const { fullCost = NaN } = await solve(Number.MAX_SAFE_INTEGER);
    const { totalCost = NaN, measuredCost = NaN } = await solve(0.85 * fullCost);
    return [
      { name: 'limit in microseconds, predicted time of the plan', value: totalCost, unit: 'µs' },
      { name: 'limit in microseconds, measured afterwards', value: measuredCost, unit: 'µs' },
      {
        name: 'limit in microseconds, error of the prediction',
        value: 100 * Math.abs(totalCost / measuredCost - 1),
        unit: '%',
        limit: 10,
      },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Calibration tokens and measurements of the comparison below. */
const reuseTokens = 4096;
const reuseMeasurements = 24;

/**
 * A measured search on the sample with and without hidden states kept from the best allocation so far: the same measurements in the same
 * order, each from the first changed layer or from layer 0.
 */
async function benchmarkPrefixReuse(): Promise<BenchmarkLine[]> {
  const model = await openModel(sample);
  const text = { text: [path.join(sample, 'calibration.jsonl')], tasks: [], calibrationTokens: reuseTokens };
  const { sequences } = (await budgetText(model, text)).search;
  const spec = model.resolved.decoder();
  const trained = model.resolved.blocks.map(({ activeExperts }) => activeExperts);
  const options = {
    model: spec,
    runtime: { provider: 'cpu', threads: 2 },
    batches: batchSequences(sequences, attentionHeads(spec)),
    sequences,
    job: quietJob(),
  };
  const run = async (reuse: boolean) => {
    const meter = await AllocationMeter.open({ ...options, reuse }, trained);
    try {
      const full = meter.work.layersRun;
      const start = performance.now();
      for (const [allocation, base] of searchSteps(trained)) {
        await meter.measure(allocation, { keep: [base], trace: true });
      }
      return { seconds: (performance.now() - start) / 1000, layers: meter.work.layersRun - full };
    } finally {
      await meter.dispose();
    }
  };
  const [without, reused] = [await run(false), await run(true)];
  return [
    {
      name: 'measured search, time from layer 0 over time with kept prefixes',
      value: without.seconds / reused.seconds,
      unit: 'x',
    },
    {
      name: 'measured search, layers run from layer 0 over those with kept prefixes',
      value: without.layers / reused.layers,
      unit: 'x',
    },
  ];
}

/** Moves of one expert between two random layers, each tried on the best allocation so far; every fourth becomes the best. */
function searchSteps(trained: readonly number[]): [allocation: number[], base: number[]][] {
  const random = new SeededRandom(4);
  let base = trained.map(() => 2);
  const steps: [number[], number[]][] = [[base, base]];
  while (steps.length < reuseMeasurements) {
    const [from, to] = [random.integerBelow(trained.length), random.integerBelow(trained.length)];
    if (from === to || base[from] === 1 || base[to] === trained[to]) {
      continue;
    }
    const moved = base.map((k, at) => k + Number(at === to) - Number(at === from));
    steps.push([moved, base]);
    base = steps.length % 4 === 0 ? moved : base;
  }
  return steps;
}

const lines = [...(await benchmarkBudgets()), ...(await benchmarkPrefixReuse()), ...(await benchmarkLatencyCosts())];
for (const { name, value, unit, limit } of lines) {
  console.log(`${name}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit})`}`);
}
