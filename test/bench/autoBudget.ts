import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { AllocationMeasurements } from '../../engine/jobs/allocationMeasurements';
import { budget } from '../../engine/jobs/budget';
import { budgetText } from '../../engine/jobs/budgetText';
import { sequencesKey } from '../../engine/jobs/calibrationText';
import { createServices } from '../../engine/jobs/createServices';
import { openModel } from '../../engine/jobs/openModel';
import { runtimeOptions } from '../../engine/jobs/services';
import { loadDatasets } from '../../engine/checkpoint/datasets';
import { loadTokenizer } from '../../engine/checkpoint/tokenizer';
import { makeWindows } from '../../engine/checkpoint/windows';
import { quietJob } from '../../engine/measure/jobContext';
import { budgetParamsSchema, defaultCalibrationTokens, type WindowScores } from '../../engine/protocol/budget';

// `auto` against its own candidates, uniform among them, on text that is not its calibration text: every dataset is halved, one half
// calibrates, the other (24 windows of 512 tokens a dataset) evaluates. Candidates run without factors, the plan with those it has.

/** Folder with models/text and eval/text-eval.json. */
const material = process.env['MOE_TUNER_BENCH_MATERIAL'] ?? path.resolve(process.cwd(), '../shared');
const totals = (process.env['MOE_TUNER_BENCH_TOTALS'] ?? '84,72,60,48,36,24').split(',').map(Number);
const calibrationTokens = Number(process.env['MOE_TUNER_BENCH_TOKENS'] ?? defaultCalibrationTokens);
const evaluations = Number(process.env['MOE_TUNER_BENCH_EVALUATIONS'] ?? 64);
const threads = Number(process.env['MOE_TUNER_BENCH_THREADS'] ?? cpus().length);
/** `1` calibrates on the first half and evaluates on the second. */
const evaluatesSecondHalf = process.env['MOE_TUNER_BENCH_FOLD'] === '1';
/** `part/parts`: only measures this part of the end-to-end table into the cache, so that several processes can share the work. */
const rowsPart = process.env['MOE_TUNER_BENCH_ROWS'];
/** Candidates whose held-out KL is this many times the best are not evaluated. */
const hopeless = 1.2;
const windowsPerDataset = 24;
const windowLength = 512;

async function run(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-bench-'));
  const settings = {
    provider: 'cpu' as const,
    threads,
    cacheDirectory: process.env['MOE_TUNER_BENCH_CACHE'] ?? folder,
    cacheLimitBytes: 2 ** 30,
    hiddenMemoryBytes: 2 ** 32,
  };
  const services = createServices(settings, folder, () => undefined);
  try {
    const model = await openModel(path.join(material, 'models/text'));
    const halves = writeHalves(path.join(material, 'eval/text-eval.json'), folder);
    const request = { text: [halves.calibration], tasks: [], calibrationTokens };
    const runtime = await runtimeOptions(services, quietJob());
    if (rowsPart !== undefined) {
      const { search } = await budgetText(model, request);
      await using(await AllocationMeasurements.create(model, search, runtime, services.cache, quietJob()), fillRows);
      return;
    }
    const tokenizer = await loadTokenizer(model.checkpoint);
    const groups = (await loadDatasets([halves.evaluation])).map((dataset) =>
      makeWindows(dataset, tokenizer, { length: windowLength, windows: windowsPerDataset }),
    );
    const sequences = groups.flat();
    const text = { sequences, tokens: sequences.length * windowLength, key: sequencesKey(sequences) };
    const measurements = await AllocationMeasurements.create(model, text, runtime, services.cache, quietJob());
    await using(measurements, async () => {
      for (const total of totals) {
        const params = { ...request, checkpoint: model.checkpoint.folder, total, evaluations, objective: 'auto' };
        const result = await budget(budgetParamsSchema.parse(params), services, quietJob());
        console.log(
          `total ${total}: ${result.seconds.toFixed(0)} s, ${result.measurements} measurements, ${result.notes?.join(' ') ?? ''}`,
        );
        const candidates = result.candidates ?? [];
        const uniform = candidates.find(({ name }) => name === 'uniform') ?? candidates[0]!;
        const reference = await measurements.measureWindows(uniform.activeExperts);
        const best = Math.min(...candidates.map(({ measured }) => measured?.kl ?? Infinity));
        const reported = (scores: WindowScores) => {
          const percent = 100 * (geometricMean(scores, groups) / geometricMean(reference, groups) - 1);
          return `perplexity ${percent.toFixed(3).padStart(7)} %  KL ${(sum(scores.kl) / sum(scores.tokens)).toFixed(5)}`;
        };
        const { gates, activeExperts: chosen } = result;
        if (gates?.scale !== undefined) {
          // One factor per layer whatever its k: the plan's own. Layers at their trained k have none.
          const scales = gates.scale.map((factor, at) => Array<number>(measurements.trained[at]!).fill(factor));
          const corrected = scales.map((factors) => factors.with(-1, 1));
          await using(
            await AllocationMeasurements.create(model, text, runtime, services.cache, quietJob(), corrected),
            async (withFactors) =>
              console.log(
                `  the plan          ${reported(await withFactors.measureWindows(chosen))}  factors ${gates.scale!.join(' ')}`,
              ),
          );
        }
        for (const { name, activeExperts, measured } of candidates) {
          if ((measured?.kl ?? Infinity) > hopeless * best) {
            continue;
          }
          const scores = await measurements.measureWindows(activeExperts);
          const mark = activeExperts.join() === result.activeExperts.join() ? '*' : ' ';
          console.log(
            `${mark} ${name.padEnd(17)} ${reported(scores)}  held out ${(measured?.kl ?? NaN).toFixed(5)}  ${activeExperts.join(' ')}`,
          );
        }
      }
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function using<T extends { dispose(): Promise<void> }>(
  resource: T,
  action: (resource: T) => Promise<void>,
): Promise<void> {
  try {
    await action(resource);
  } finally {
    await resource.dispose();
  }
}

async function fillRows(measurements: AllocationMeasurements): Promise<void> {
  const [part = 0, parts = 1] = rowsPart!.split('/').map(Number);
  const trained = measurements.trained;
  const changes = trained.flatMap((k, layer) => Array.from({ length: k - 1 }, (_, less) => [layer, less + 1] as const));
  for (const [layer, k] of changes.filter((_, at) => at % parts === part)) {
    await measurements.measure(trained.map((full, at) => (at === layer ? k : full)));
  }
}

/** Texts of every dataset in two files of named lists. */
function writeHalves(file: string, folder: string): { calibration: string; evaluation: string } {
  const datasets = Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[]>);
  const write = (name: string, second: boolean): string => {
    const half = datasets.map(([dataset, texts]) => {
      const middle = Math.floor(texts.length / 2);
      return [dataset, second ? texts.slice(middle) : texts.slice(0, middle)] as const;
    });
    const target = path.join(folder, name);
    writeFileSync(target, JSON.stringify(Object.fromEntries(half)));
    return target;
  };
  return {
    calibration: write('calibration.json', !evaluatesSecondHalf),
    evaluation: write('evaluation.json', evaluatesSecondHalf),
  };
}

/** Geometric mean over datasets of their perplexities. */
function geometricMean({ tokens, loss }: WindowScores, groups: readonly (readonly Int32Array[])[]): number {
  let first = 0;
  const logs = groups.map(({ length }) => {
    const [from, to] = [first, first + length];
    first = to;
    return sum(loss.slice(from, to)) / sum(tokens.slice(from, to));
  });
  return Math.exp(sum(logs) / logs.length);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

await run();
