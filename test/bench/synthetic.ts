import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModel } from '../../engine/jobs/openModel';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes } from '../../engine/measure/probeInputs';
import { measureSensitivity } from '../../engine/measure/sensitivity';
import { probeProvider } from '../../engine/runtime/probeProvider';
import { syntheticShapes, writeSyntheticCheckpoint, type SyntheticShape } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Layers of each synthetic checkpoint (1.1 GB a layer for the first shape), and probe tokens of a layer. */
const layers = 2;
const samples = 4096;
const batches = 8;

/**
 * Sensitivity of layers of published dimensions: floating-point operations per second of the experts that run, shared ones
 * included, beside what one large matrix product reaches on the same machine in the same minute.
 */
export async function benchmarkSynthetic(name: SyntheticShape): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-synthetic-'));
  try {
    writeSyntheticCheckpoint(folder, name, layers);
    const { hidden, width, active, shared } = syntheticShapes[name];
    const { resolved } = await openModel(folder);
    const probes = new GaussianProbes(batches, samples / batches, hidden, 0);
    const runtime = { provider: 'cpu', threads: 2 };
    const seconds: number[] = [];
    for (const block of resolved.blocks) {
      const start = performance.now();
      await measureSensitivity(block, probes, runtime, quietJob());
      seconds.push((performance.now() - start) / 1000);
    }
    const peak = (await probeProvider('cpu', runtime.threads)).gflops ?? NaN;
    const operations = samples * 6 * hidden * (active * width + shared);
    const speed = operations / Math.min(...seconds) / 1e9;
    return [
      { name: `${name}: sensitivity of a layer`, value: Math.min(...seconds), unit: 's' },
      { name: `${name}: useful operations`, value: speed, unit: 'GFLOP/s' },
      { name: `${name}: share of a large matrix product`, value: (100 * speed) / peak, unit: '%', limit: 70 },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const name of Object.keys(syntheticShapes) as SyntheticShape[]) {
  for (const { name: label, value, unit } of await benchmarkSynthetic(name)) {
    console.log(`${label}: ${value.toPrecision(4)} ${unit}`);
  }
}
