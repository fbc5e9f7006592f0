import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { toFloat32 } from '../../engine/checkpoint/convertDtype';
import { apply } from '../../engine/jobs/apply';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { quietJob } from '../../engine/measure/jobContext';
import { packBfloat16 } from '../../engine/methods/quantize/packBfloat16';
import { packCodes } from '../../engine/methods/quantize/packCodes';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import type { TargetName } from '../../engine/protocol/apply';
import { writeSyntheticCheckpoint } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** One expert matrix of a large model. */
const [rows, columns] = [2048, 4096];
const repeats = 8;
/** Layers of the checkpoint: eleven of OLMoE's dimensions are 9.1 GB. */
const layers = Number(process.env['MOE_TUNER_BENCH_LAYERS'] ?? 11);
const group = 32;

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
 * Rounding a whole checkpoint to 4 bits: into temporary files, as every use of a plan does, and on into artefacts; source bytes per
 * second of time, beside what the disk does with as many bytes. `MOE_TUNER_BENCH_FOLDER` names the disk.
 */
export async function* benchmarkCheckpoint(): AsyncGenerator<BenchmarkLine> {
  const folder = mkdtempSync(path.join(process.env['MOE_TUNER_BENCH_FOLDER'] ?? tmpdir(), 'moe-tuner-quantize-'));
  try {
    const checkpoint = path.join(folder, 'model');
    mkdirSync(checkpoint);
    const source = writeSyntheticCheckpoint(checkpoint, 'olmoe-1b-7b', layers);
    execFileSync('sync');
    const plan = path.join(folder, 'four.moeplan.json');
    const quantize = { method: 'rtn', group, symmetric: true, scope: 'experts', seed: 0 };
    writeFileSync(
      plan,
      JSON.stringify({ version: 1, quantize: { ...quantize, layers: Array<number>(layers).fill(4) } }),
    );
    yield { name: 'source', value: source / 1e9, unit: 'GB' };
    const model = await openModel(checkpoint);
    const seconds = await timed(async () => (await openPlannedModel(model, { plan }, quietJob())).dispose());
    yield { name: 'rounded and packed', value: source / seconds / 1e9, unit: 'GB/s', limit: 1 };
    for (const target of ['compressed-tensors', 'llama.cpp'] satisfies TargetName[]) {
      const out = path.join(folder, target);
      const run = () => apply({ checkpoint, plan, target, out }, quietJob());
      let written = 0;
      const took = await timed(async () => {
        written = (await run()).bytes;
      });
      rmSync(out, { recursive: true });
      const disk = diskSeconds(checkpoint, path.join(folder, 'copy'), written);
      yield { name: `apply --target ${target}`, value: source / took / 1e9, unit: 'GB/s' };
      const share = (100 * disk) / took;
      yield { name: `apply --target ${target}, share of the disk's speed`, value: share, unit: '%', limit: 70 };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

/** Seconds that the system's own tools take to read a checkpoint and to write as many bytes as an artefact has, flushed. */
function diskSeconds(checkpoint: string, copy: string, written: number): number {
  const start = performance.now();
  const files = readdirSync(checkpoint).map((name) => path.join(checkpoint, name));
  for (const file of files) {
    execFileSync('dd', [`if=${file}`, 'of=/dev/null', 'bs=16M', 'status=none']);
  }
  const largest = files.sort((left, right) => statSync(right).size - statSync(left).size)[0]!;
  const blocks = Math.ceil(written / 2 ** 24);
  execFileSync('dd', [`if=${largest}`, `of=${copy}`, 'bs=16M', `count=${blocks}`, 'conv=fsync', 'status=none']);
  const seconds = (performance.now() - start) / 1000;
  rmSync(copy);
  return seconds;
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
