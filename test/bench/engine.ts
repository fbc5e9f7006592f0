import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { build } from '../../scripts/build.mjs';
import { root, sample, testResults } from '../../scripts/support/paths.mjs';
import { measureCommand, type MeasuredRun } from '../support/measuredCommand';
import type { BenchmarkLine } from './budgets';

/** Runs of each measurement; the middle one is reported. */
const runs = 3;

const textModel = path.join(root, '..', 'shared', 'models', 'text');
const textFile = path.join(root, '..', 'shared', 'eval', 'text-eval.json');
const bundles = path.join(testResults, 'bench-bundles');

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;
}

function measure(words: readonly string[], cache: string): Promise<MeasuredRun> {
  const machine = ['--provider', 'cpu', '--threads', '2', '--json', '--cache', cache];
  return measureCommand(path.join(bundles, 'cli.js'), [...words, ...machine]);
}

/** The same command several times, each with an empty cache. */
async function measureAll(words: readonly string[]): Promise<MeasuredRun[]> {
  const measured: MeasuredRun[] = [];
  for (let run = 0; run < runs; run += 1) {
    const cache = mkdtempSync(path.join(tmpdir(), 'moe-tuner-bench-'));
    measured.push(await measure(words, cache));
    rmSync(cache, { recursive: true, force: true });
  }
  return measured;
}

const summarySchema = z.object({
  hiddenSize: z.number(),
  activeExperts: z.number(),
  layers: z.array(z.object({ expertBytes: z.number() })),
});
const profileSchema = z.object({ samples: z.number(), coefficientOfVariation: z.number(), seconds: z.number() });

const megabyte = 1e6;

/** Engine process without work: Node, ONNX Runtime and the program. */
async function idleBytes(checkpoint: string): Promise<number> {
  return median((await measureAll(['inspect', checkpoint])).map((run) => run.ownBytes));
}

async function benchmarkProfile(name: string, checkpoint: string, secondsLimit: number): Promise<BenchmarkLine[]> {
  const [inspected] = await measureAll(['inspect', checkpoint]);
  const { hiddenSize, activeExperts, layers } = summarySchema.parse(inspected!.result);
  const measured = await measureAll(['profile', checkpoint]);
  const profiles = measured.map(({ result }) => profileSchema.parse(result));
  const { samples, coefficientOfVariation } = profiles[0]!;
  // The inputs of the layer and, per active expert, its output: what a layer in float32 needs beside its weights.
  const layerBytes = 2 * Math.max(...layers.map(({ expertBytes }) => expertBytes));
  const activationBytes = 4 * samples * hiddenSize * (1 + activeExperts);
  return [
    {
      name: `${name}: profile, whole process`,
      value: median(measured.map(({ seconds }) => seconds)),
      unit: 's',
      limit: secondsLimit,
    },
    { name: `${name}: profile, inside`, value: median(profiles.map(({ seconds }) => seconds)), unit: 's' },
    { name: `${name}: coefficient of variation`, value: 100 * coefficientOfVariation, unit: '%', limit: 1 },
    {
      name: `${name}: own memory beyond the idle process`,
      value: (median(measured.map((run) => run.ownBytes)) - (await idleBytes(checkpoint))) / megabyte,
      unit: 'MB',
      limit: (layerBytes + activationBytes) / megabyte,
    },
  ];
}

async function benchmarkEvaluation(): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-bench-text-'));
  const text = path.join(folder, 'text.json');
  const all = z.record(z.string(), z.array(z.string())).parse(JSON.parse(readFileSync(textFile, 'utf8')));
  writeFileSync(text, JSON.stringify({ man_en: all.man_en }));
  const schema = z.object({ seconds: z.number(), datasets: z.object({ man_en: z.object({ tokens: z.number() }) }) });
  const measured = await measureAll(['evaluate', textModel, '--text', text, '--windows', '24']);
  rmSync(folder, { recursive: true, force: true });
  const speeds = measured.map(({ result }) => {
    const { seconds, datasets } = schema.parse(result);
    return datasets.man_en.tokens / seconds;
  });
  return [{ name: 'text model: evaluation', value: median(speeds), unit: 'tokens/s' }];
}

/** Speed and memory of the engine on the sample, and on the text model where the shared material is present. */
export async function benchmarkEngine(): Promise<BenchmarkLine[]> {
  await build({ outdir: bundles, tests: false });
  try {
    const start = median((await measureAll(['inspect', sample])).map(({ seconds }) => seconds));
    const lines = [{ name: 'start without a window, to the first answer', value: start, unit: 's' }];
    lines.push(...(await benchmarkProfile('sample', sample, 5)));
    if (existsSync(textModel)) {
      lines.push(...(await benchmarkProfile('text model', textModel, 20)), ...(await benchmarkEvaluation()));
    } else {
      console.warn(`SKIPPED: ${textModel} does not exist.`);
    }
    return lines;
  } finally {
    rmSync(bundles, { recursive: true, force: true });
  }
}

for (const { name, value, unit, limit } of await benchmarkEngine()) {
  console.log(
    `${name}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit.toPrecision(4)})`}`,
  );
}
