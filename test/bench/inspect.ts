import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from '../../engine/jobs/inspect';
import { writeLargeCheckpoint } from '../support/largeCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Runs of which the middle one is reported. */
const runs = 5;

/** Header-only inspection of a checkpoint as large as the largest published ones: 60 layers of 256 experts. */
export async function benchmarkInspect(): Promise<BenchmarkLine> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-bench-'));
  try {
    writeLargeCheckpoint(folder, { layers: 60, experts: 256, hidden: 32, width: 16 });
    const times: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const start = performance.now();
      await inspect(folder);
      times.push(performance.now() - start);
    }
    const median = times.sort((left, right) => left - right)[Math.floor(runs / 2)] ?? NaN;
    return { name: 'inspect 60 layers of 256 experts', value: median, unit: 'ms', limit: 1000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { name, value, unit, limit } = await benchmarkInspect();
console.log(`${name}: ${value.toPrecision(4)} ${unit} (limit ${limit ?? '–'})`);
