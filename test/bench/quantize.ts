import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import path from 'node:path';
import { toFloat32 } from '../../engine/checkpoint/convertDtype';
import { specLinears } from '../../engine/families/specLinears';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { quietJob } from '../../engine/measure/jobContext';
import { packBfloat16 } from '../../engine/methods/quantize/packBfloat16';
import { packCodes } from '../../engine/methods/quantize/packCodes';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import type { TargetName } from '../../engine/protocol/apply';
import { RoundedParts } from '../../engine/transform/rounding/roundedParts';
import { RoundedWriter } from '../../engine/transform/rounding/roundedWriter';
import { leaseRounder, useRoundingProgram } from '../../engine/transform/rounding/roundingPool';
import { build } from '../../scripts/build.mjs';
import { testResults } from '../../scripts/support/paths.mjs';
import { writeSyntheticCheckpoint } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** One expert matrix of a large model. */
const [rows, columns] = [2048, 4096];
const repeats = 8;
/** Layers of the checkpoint: eight of the dimensions of Qwen1.5-MoE-A2.7B are 9.1 GB. */
const layers = Number(process.env['MOE_TUNER_BENCH_LAYERS'] ?? 8);
/** Runs of every command, whose median counts. */
const runs = Number(process.env['MOE_TUNER_BENCH_RUNS'] ?? 1);
const group = 32;
const sampleMilliseconds = 20;
const targets: readonly TargetName[] = ['compressed-tensors', 'llama.cpp', 'huggingface'];

/** Source bytes (bfloat16) per second of processor time that one thread rounds and packs to 4 bits. */
export function benchmarkPacking(): BenchmarkLine[] {
  // Of both signs, from 2^-15 to 2^-4 as the weights of experts are.
  const stored = Uint16Array.from({ length: rows * columns }, (_, at) => {
    const random = Math.imul(at, 2654435761) >>> 16;
    return (random & 0x8000) | (0x3800 + (random % 0x580));
  });
  const bytes = new Uint8Array(stored.buffer);
  const general = () => {
    const matrix = { values: toFloat32('BF16', bytes), rows, columns };
    packCodes(roundToNearest(matrix, { bits: 4, group, symmetric: true }).codes, 4);
  };
  return [
    { name: 'round to nearest, 4 bits, any dtype, per thread', value: speed(general, bytes.length), unit: 'GB/s' },
    {
      name: 'round to nearest, 4 bits, bfloat16, per thread',
      value: speed(() => packBfloat16(stored, group, 4), bytes.length),
      unit: 'GB/s',
    },
  ];
}

/**
 * Rounding a whole checkpoint to 4 bits: packed and thrown away, into temporary files as an evaluation has it, and by the command `apply`
 * into artefacts; source bytes per second of time, beside a copy of the source by the system right before and after.
 * `MOE_TUNER_BENCH_FOLDER` names a folder on the disk.
 */
export async function* benchmarkCheckpoint(): AsyncGenerator<BenchmarkLine> {
  const folder = mkdtempSync(path.join(process.env['MOE_TUNER_BENCH_FOLDER'] ?? tmpdir(), 'moe-tuner-quantize-'));
  // Below the root, where the programs find the runtime.
  const programs = path.join(testResults, `bench-${process.pid}`);
  try {
    await build({ outdir: programs, tests: false });
    useRoundingProgram(path.join(programs, 'roundingWorker.js'));
    const checkpoint = path.join(folder, 'model');
    mkdirSync(checkpoint);
    const source = writeSyntheticCheckpoint(checkpoint, 'qwen1.5-moe-a2.7b', layers);
    execFileSync('sync');
    const plan = path.join(folder, 'four.moeplan.json');
    const quantize = { method: 'rtn', group, symmetric: true, scope: 'experts', seed: 0 };
    writeFileSync(
      plan,
      JSON.stringify({ version: 1, quantize: { ...quantize, layers: Array<number>(layers).fill(4) } }),
    );
    yield { name: 'source', value: source / 1e9, unit: 'GB' };
    const packed = await timed(() => packInMemory(checkpoint, plan));
    yield { name: 'rounded and packed, thrown away', value: source / packed / 1e9, unit: 'GB/s', limit: 1 };
    const model = await openModel(checkpoint);
    const kept = await timed(async () => (await openPlannedModel(model, { plan }, quietJob())).dispose());
    yield { name: 'rounded and packed into temporary files', value: source / kept / 1e9, unit: 'GB/s' };
    for (const target of targets) {
      yield* benchmarkCommand({ folder, program: path.join(programs, 'cli.js'), checkpoint, plan, source, target });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(programs, { recursive: true, force: true });
  }
}

interface CommandRun {
  readonly folder: string;
  /** The command line as it ships. */
  readonly program: string;
  readonly checkpoint: string;
  readonly plan: string;
  /** Bytes of the checkpoint. */
  readonly source: number;
  readonly target: TargetName;
}

/** `moe-tuner apply` in a process of its own, between two copies of the source. */
async function* benchmarkCommand(run: CommandRun): AsyncGenerator<BenchmarkLine> {
  const { folder, program, checkpoint, plan, source, target } = run;
  const [out, copy] = [path.join(folder, 'written'), path.join(folder, 'copy')];
  const took: number[] = [];
  const copied: number[] = [];
  let peak = 0;
  for (let each = 0; each < runs; each += 1) {
    const before = copySeconds(checkpoint, copy);
    const words = ['apply', checkpoint, '--plan', plan, '--target', target, '--out', out, '--json'];
    const seconds = await timed(async () => {
      peak = Math.max(peak, await peakMemory(program, words));
    });
    rmSync(out, { recursive: true });
    took.push(seconds);
    copied.push((before + copySeconds(checkpoint, copy)) / 2);
  }
  const shares = took.map((seconds, at) => copied[at]! / seconds);
  const name = `apply --target ${target}`;
  yield { name, value: source / median(took) / 1e9, unit: 'GB/s' };
  yield { name: `${name}: copy of the source, flushed`, value: source / median(copied) / 1e9, unit: 'GB/s' };
  yield { name: `${name}: share of the copy speed`, value: 100 * median(shares), unit: '%', limit: 70 };
  yield { name: `${name}: own memory`, value: peak / 2 ** 20, unit: 'MiB', limit: 500 };
}

/** All rounded weights of a plan, computed and thrown away. */
async function packInMemory(checkpoint: string, plan: string): Promise<void> {
  const planned = await openPlannedModel(await openModel(checkpoint), { plan, roundWhenUsed: true }, quietJob());
  const rounder = leaseRounder();
  const nowhere = await open(devNull, 'w');
  try {
    const writer = new RoundedWriter(nowhere, rounder, () => undefined);
    for (const { weight } of planned.blocks.flatMap(({ experts }) => experts.flatMap(specLinears))) {
      if (weight.storage === 'block-quantized') {
        await writer.add(new RoundedParts(weight, [{ form: 'codes' }, { form: 'scales', dtype: 'F16' }]), [0, 0]);
      }
    }
    await writer.settle();
  } finally {
    await nowhere.close();
    await rounder.release();
    await planned.dispose();
  }
}

/** Runs a command to its end. @returns the most memory it held, mapped files left out, where the system says so */
function peakMemory(program: string, words: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
    let [peak, said] = [0, ''];
    child.stderr.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2000)));
    const timer = setInterval(() => (peak = Math.max(peak, anonymousBytes(child.pid!))), sampleMilliseconds);
    child.on('close', (code) => {
      clearInterval(timer);
      if (code === 0) {
        resolve(peak);
      } else {
        reject(new Error(`${words.join(' ')} ended with ${code}: ${said}`));
      }
    });
  });
}

function anonymousBytes(process: number): number {
  try {
    return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${process}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

/** Seconds that the system's own copy of a folder takes, flushed. */
function copySeconds(checkpoint: string, copy: string): number {
  const start = performance.now();
  execFileSync('cp', ['-r', '--reflink=never', checkpoint, copy]);
  execFileSync(
    'sync',
    readdirSync(copy).map((name) => path.join(copy, name)),
  );
  const seconds = (performance.now() - start) / 1000;
  rmSync(copy, { recursive: true });
  return seconds;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2;
}

function speed(run: () => void, bytes: number): number {
  run();
  const start = process.cpuUsage();
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    run();
  }
  const { user, system } = process.cpuUsage(start);
  return (repeats * bytes) / ((user + system) * 1000);
}

function print({ name, value, unit, limit }: BenchmarkLine): void {
  console.log(`${name}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit})`}`);
}

benchmarkPacking().forEach(print);
for await (const line of benchmarkCheckpoint()) {
  print(line);
}
