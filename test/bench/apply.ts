import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import { randomPrunePlan } from '../support/prunePlan';
import { writeSyntheticCheckpoint } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Layers of the checkpoint: eleven of OLMoE's dimensions are 9.1 GB. */
const layers = 11;
const keptShare = 0.75;
const sampleMilliseconds = 20;

/**
 * Writing a pruned checkpoint against copying as many bytes with the system's own copy command, both flushed to the disk, and the
 * most memory the process holds meanwhile (mapped files left out).
 */
export async function benchmarkApply(): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(process.env['MOE_TUNER_BENCH_FOLDER'] ?? tmpdir(), 'moe-tuner-apply-'));
  try {
    const checkpoint = path.join(folder, 'model');
    mkdirSync(checkpoint);
    const source = writeSyntheticCheckpoint(checkpoint, 'olmoe-1b-7b', layers);
    execFileSync('sync');
    const plan = path.join(folder, 'half.moeplan.json');
    writeFileSync(plan, JSON.stringify(await randomPrunePlan(checkpoint, keptShare)));
    const out = path.join(folder, 'written');
    let peak = 0;
    const timer = setInterval(() => (peak = Math.max(peak, anonymousBytes())), sampleMilliseconds);
    const before = anonymousBytes();
    const start = performance.now();
    const { bytes } = await apply({ checkpoint, plan, target: 'huggingface', out }, quietJob());
    const seconds = (performance.now() - start) / 1000;
    clearInterval(timer);
    rmSync(out, { recursive: true });
    const copySpeed = copyBytesPerSecond(checkpoint, path.join(folder, 'copy'));
    const speed = bytes / seconds;
    return [
      { name: 'apply: source', value: source / 1e9, unit: 'GB' },
      { name: 'apply: written', value: speed / 1e6, unit: 'MB/s' },
      { name: 'apply: copy of the disk', value: copySpeed / 1e6, unit: 'MB/s' },
      { name: 'apply: share of the copy speed', value: (100 * speed) / copySpeed, unit: '%', limit: 70 },
      { name: 'apply: own memory', value: peak / 2 ** 20, unit: 'MiB', limit: 500 },
      { name: 'apply: own memory before', value: before / 2 ** 20, unit: 'MiB' },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bytes per second of copying a folder and flushing it. */
function copyBytesPerSecond(from: string, to: string): number {
  const start = performance.now();
  execFileSync('cp', ['-r', '--reflink=never', from, to]);
  const files = readdirSync(to).map((name) => path.join(to, name));
  execFileSync('sync', files);
  const seconds = (performance.now() - start) / 1000;
  return files.reduce((sum, file) => sum + statSync(file).size, 0) / seconds;
}

/** Resident memory of this process without mapped files, where the system says so. */
function anonymousBytes(): number {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) * 1024;
  } catch {
    return process.memoryUsage().rss;
  }
}

for (const { name, value, unit, limit } of await benchmarkApply()) {
  console.log(`${name}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit})`}`);
}
