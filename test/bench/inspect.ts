import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from '../../engine/jobs/inspect';
import { build } from '../../scripts/build.mjs';
import { testResults } from '../../scripts/support/paths.mjs';
import { writeLargeCheckpoint, type LargeShape } from '../support/largeCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Runs of which the middle one is reported. */
const runs = 15;

interface Case {
  readonly name: string;
  readonly shape: LargeShape;
  /** Most milliseconds of a whole process. */
  readonly limit: number;
}

/** As many tensors as the largest published checkpoints have, and a checkpoint of 9 GB. */
const cases: readonly Case[] = [
  { name: '60 layers of 256 experts', shape: { layers: 60, experts: 256, hidden: 32, width: 16 }, limit: 1000 },
  { name: '9 GB, 8 layers of 64 experts', shape: { layers: 8, experts: 64, hidden: 2048, width: 1408 }, limit: 300 },
];

/** Milliseconds of each kind of measurement, taken in turns so that other work on the machine meets all of them. */
async function mediansInTurns(measurements: readonly (() => Promise<void> | void)[]): Promise<number[]> {
  const times = measurements.map(() => [] as number[]);
  for (let run = 0; run < runs; run += 1) {
    for (const [at, measure] of measurements.entries()) {
      const start = performance.now();
      await measure();
      times[at]!.push(performance.now() - start);
    }
  }
  return times.map((each) => each.sort((left, right) => left - right)[Math.floor(runs / 2)] ?? NaN);
}

function runNode(...words: readonly string[]): void {
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  if (status !== 0) {
    throw new Error(`${words.join(' ')} ended with ${status}: ${stderr}`);
  }
}

/** Header-only inspection: the job alone and the whole process of the command line, beside a process that does nothing. */
export async function benchmarkInspect(): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-bench-'));
  const bundles = path.join(testResults, 'inspect-bundles');
  const lines: BenchmarkLine[] = [];
  try {
    await build({ outdir: bundles, tests: false });
    for (const [at, { name, shape, limit }] of cases.entries()) {
      const checkpoint = path.join(folder, String(at));
      mkdirSync(checkpoint);
      writeLargeCheckpoint(checkpoint, shape);
      const [job, whole, bare] = (await mediansInTurns([
        async () => {
          await inspect(checkpoint);
        },
        () => runNode(path.join(bundles, 'cli.js'), 'inspect', checkpoint, '--json'),
        () => runNode('-e', ''),
      ])) as [number, number, number];
      lines.push(
        { name: `inspect ${name}`, value: job, unit: 'ms', limit: 1000 },
        { name: `inspect ${name}, whole process`, value: whole, unit: 'ms', limit },
        { name: 'Node alone, in the same minute', value: bare, unit: 'ms' },
      );
    }
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(bundles, { recursive: true, force: true });
  }
}

for (const { name, value, unit, limit } of await benchmarkInspect()) {
  console.log(`${name}: ${value.toPrecision(4)} ${unit} (limit ${limit ?? '–'})`);
}
