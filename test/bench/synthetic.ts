import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { probeProvider } from '../../engine/runtime/probeProvider';
import { build } from '../../scripts/build.mjs';
import { testResults } from '../../scripts/support/paths.mjs';
import { measureCommand, type MeasuredRun } from '../support/measuredCommand';
import { syntheticShapes, writeSyntheticCheckpoint, type SyntheticShape } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Layers of the checkpoints of a shape (1.1, 0.8 and 2.9 GB a layer): linearity in layers is shown on the first one. */
const layerCounts: Readonly<Record<SyntheticShape, readonly number[]>> = {
  'qwen1.5-moe-a2.7b': [2, 4, 8],
  'olmoe-1b-7b': [2],
  'mixtral-8x7b': [2],
};
/** Probe tokens of a profile, and tokens of the forward. */
const samples = 4096;
const sequences = { count: 4, length: 256 };
const threads = 2;

const profileSchema = z.object({ seconds: z.number() });
const forwardSchema = z.object({ tokens: z.number(), seconds: z.number() });

/** Profile, forward and inspect of one checkpoint, each in a process of its own with an empty cache. */
interface MeasuredCheckpoint {
  readonly layers: number;
  readonly profile: MeasuredRun;
  readonly forward: MeasuredRun;
  readonly inspect: MeasuredRun;
}

/** Commands on one checkpoint, which is written for them and removed. */
async function measureCheckpoint(program: string, name: SyntheticShape, layers: number): Promise<MeasuredCheckpoint> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-synthetic-'));
  try {
    const checkpoint = path.join(folder, 'checkpoint');
    mkdirSync(checkpoint);
    writeSyntheticCheckpoint(checkpoint, name, layers);
    const ids = path.join(folder, 'ids.json');
    const row = (from: number) => Array.from({ length: sequences.length }, (_, at) => (from * 31 + at * 7) % 1000);
    writeFileSync(ids, JSON.stringify(Array.from({ length: sequences.count }, (_, at) => row(at))));
    const run = (command: string, ...words: readonly string[]) => {
      const machine = [
        '--provider',
        'cpu',
        '--threads',
        String(threads),
        '--json',
        '--cache',
        path.join(folder, command),
      ];
      return measureCommand(program, [command, checkpoint, ...words, ...machine]);
    };
    return {
      layers,
      inspect: await run('inspect'),
      profile: await run('profile', '--samples', String(samples)),
      forward: await run('forward', '--ids', ids, '--out', path.join(folder, 'logits.safetensors')),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Layers of published dimensions: useful floating-point operations per second of a profile (experts that run, shared ones included)
 * beside what one large matrix product reaches in the same minute, tokens per second of the forward, own memory of both (without mapped
 * files), and how the time grows with layers.
 */
export async function benchmarkSynthetic(program: string, name: SyntheticShape): Promise<BenchmarkLine[]> {
  const { hidden, width, active, shared } = syntheticShapes[name];
  const operations = samples * 6 * hidden * (active * width + shared);
  const lines: BenchmarkLine[] = [];
  const perLayer: number[] = [];
  for (const layers of layerCounts[name]) {
    const { profile, forward, inspect } = await measureCheckpoint(program, name, layers);
    const peak = (await probeProvider('cpu', threads)).gflops ?? NaN;
    const seconds = profileSchema.parse(profile.result).seconds / layers;
    const { tokens, seconds: forwardSeconds } = forwardSchema.parse(forward.result);
    const speed = operations / seconds / 1e9;
    perLayer.push(seconds);
    const of = (line: string) => `${name}, ${layers} layers: ${line}`;
    lines.push(
      { name: of('inspect, whole process'), value: 1000 * inspect.seconds, unit: 'ms' },
      { name: of('profile of a layer'), value: seconds, unit: 's' },
      { name: of('profile, useful operations'), value: speed, unit: 'GFLOP/s' },
      { name: of('profile, share of a large matrix product'), value: (100 * speed) / peak, unit: '%', limit: 70 },
      { name: of('profile, own memory'), value: profile.ownBytes / 1e6, unit: 'MB', limit: 1000 },
      { name: of('forward'), value: tokens / forwardSeconds, unit: 'tokens/s' },
      { name: of('forward, own memory'), value: forward.ownBytes / 1e6, unit: 'MB' },
    );
  }
  if (perLayer.length > 1) {
    const ratio = perLayer.at(-1)! / perLayer[0]!;
    lines.push({
      name: `${name}: time of a layer with the most layers over that with the fewest`,
      value: ratio,
      unit: 'x',
    });
  }
  return lines;
}

const bundles = path.join(testResults, 'synthetic-bundles');
await build({ outdir: bundles, tests: false });
try {
  for (const name of Object.keys(syntheticShapes) as SyntheticShape[]) {
    for (const { name: label, value, unit, limit } of await benchmarkSynthetic(path.join(bundles, 'cli.js'), name)) {
      console.log(`${label}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit})`}`);
    }
  }
} finally {
  rmSync(bundles, { recursive: true, force: true });
}
