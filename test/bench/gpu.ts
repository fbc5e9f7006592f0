import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TensorEntry } from '../../engine/checkpoint/types';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { specTensors } from '../../engine/families/specTensors';
import { cpuTarget, type ExpertPrecision, type GraphTarget } from '../../engine/graph/graphTarget';
import { sensitivityGraph, sensitivityNames } from '../../engine/graph/sensitivityGraph';
import { openModel } from '../../engine/jobs/openModel';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes } from '../../engine/measure/probeInputs';
import { measureSensitivity } from '../../engine/measure/sensitivity';
import { rankCorrelation } from '../../engine/methods/budgets/rankCorrelation';
import { toFloat16Bits } from '../../engine/numeric/halfPrecision';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';
import { graphTarget } from '../../engine/runtime/graphTargets';
import { floats, openSession, type Results, type RuntimeOptions } from '../../engine/runtime/session';
import { probeProvider } from '../../engine/runtime/probeProvider';
import { syntheticShapes, writeSyntheticCheckpoint, type SyntheticShape } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Provider to measure, ONNX Runtime's own name. */
const provider = process.env.MOE_TUNER_BENCH_PROVIDER ?? 'cuda';

/** Probe tokens of one run, as in the published comparison. */
const tokens = 16_384;
const timedRuns = 9;
const shapes = ['qwen1.5-moe-a2.7b', 'mixtral-8x7b'] as const satisfies readonly SyntheticShape[];
const precisions: readonly ExpertPrecision[] = ['float16', 'bfloat16', 'float32'];

/** Layers that are profiled one after the other, as a checkpoint is. */
const profiledLayers = 3;

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function probeFile(folder: string, hidden: number): { readonly entry: TensorEntry; readonly values: Float32Array } {
  const values = new Float32Array(tokens * hidden);
  fillStandardNormal(values, new SeededRandom(5));
  const file = path.join(folder, 'probes.bin');
  writeFileSync(file, new Uint8Array(values.buffer));
  const shape = [tokens, hidden];
  return { entry: { name: 'probes', dtype: 'F32', shape, file, byteOffset: 0, byteLength: values.byteLength }, values };
}

/** The experts of a block in the layout that the fused operator takes: float16, stacked, gate and up rows in turn. */
function stackedBlock(folder: string, block: MoeBlockSpec): MoeBlockSpec {
  const file = path.join(folder, 'stacked.bin');
  const { hiddenSize: hidden, intermediateSize: width } = block;
  const count = block.experts.length;
  const random = new Float32Array(2 ** 22);
  fillStandardNormal(random, new SeededRandom(2));
  const half = Buffer.from(Uint16Array.from(random, (value) => toFloat16Bits(value * 0.02)).buffer);
  const total = count * 3 * hidden * width * 2;
  const descriptor = openSync(file, 'w');
  // Every piece starts at another place, so that no two experts are alike.
  for (let at = 0, piece = 0; at < total; piece += 1) {
    const from = ((piece * 7919) % 1024) * 4096;
    at += writeSync(descriptor, half, from, Math.min(half.length - from, total - at));
  }
  closeSync(descriptor);
  const linear = (start: number, outputSize: number, inputSize: number) => {
    const byteLength = 2 * outputSize * inputSize;
    const entry: TensorEntry = {
      name: `stacked.${start}`,
      dtype: 'F16',
      shape: [outputSize, inputSize],
      file,
      byteOffset: start,
      byteLength,
    };
    return { weight: { storage: 'plain', entry }, orientation: 'output-major', inputSize, outputSize } as const;
  };
  const downStart = count * 4 * hidden * width;
  return {
    ...block,
    shared: undefined,
    experts: block.experts.map((_, at) => ({
      layout: 'fused-gated',
      arrangement: 'interleaved',
      gateUp: linear(at * 4 * hidden * width, 2 * width, hidden),
      down: linear(downStart + at * 2 * hidden * width, hidden, width),
    })),
  };
}

/** Milliseconds from inputs on the device to norms on the host, and the results. */
async function timeRuns(
  block: MoeBlockSpec,
  target: GraphTarget,
  runtime: RuntimeOptions,
  probes: TensorEntry,
): Promise<{ readonly open: number; readonly first: number; readonly run: number; readonly results: Results }> {
  const start = performance.now();
  const session = await openSession(sensitivityGraph(block, target, probes), runtime);
  const open = performance.now() - start;
  try {
    const feeds = {
      [sensitivityNames.rows]: { type: 'int64', data: BigInt64Array.of(BigInt(tokens)), shape: [1] },
    } as const;
    const times: number[] = [];
    let results: Results = {};
    for (let run = 0; run < timedRuns + 3; run += 1) {
      const began = performance.now();
      results = await session.run(feeds);
      times.push(performance.now() - began);
    }
    return { open, first: times[0]!, run: median(times.slice(3)), results };
  } finally {
    await session.dispose();
  }
}

/** Largest relative error over k of the damage that a profile reports, and the rank correlation of all damages of tokens. */
function compare(actual: Results, expected: Results, k0: number): { readonly error: number; readonly ranks: number } {
  const damage = (results: Results) => floats(results, sensitivityNames.squaredDamage);
  const [mine, theirs] = [damage(actual), damage(expected)];
  const totals = (values: Float32Array) =>
    Array.from({ length: k0 - 1 }, (_, at) =>
      Math.sqrt(values.reduce((sum, value, index) => (index % (k0 - 1) === at ? sum + value : sum), 0)),
    );
  const reference = totals(theirs);
  const error = Math.max(...totals(mine).map((value, at) => Math.abs(value / reference[at]! - 1)));
  return { error, ranks: rankCorrelation([...mine], [...theirs]) ?? NaN };
}

async function benchmarkLayer(name: SyntheticShape): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-gpu-'));
  try {
    writeSyntheticCheckpoint(folder, name, 1);
    const { resolved } = await openModel(folder);
    const whole = resolved.blocks[0]!;
    const routed: MoeBlockSpec = { ...whole, shared: undefined };
    const { entry } = probeFile(folder, whole.hiddenSize);
    const variants = [
      { label: 'bf16 per expert', block: routed },
      { label: 'f16 stacked', block: stackedBlock(folder, routed) },
    ];
    const lines: BenchmarkLine[] = [];
    for (const { label, block } of variants) {
      const reference = await openSession(sensitivityGraph(block, cpuTarget, entry), { provider: 'cpu', threads: 0 });
      const rows = { type: 'int64', data: BigInt64Array.of(BigInt(tokens)), shape: [1] } as const;
      const expected = await reference.run({ [sensitivityNames.rows]: rows });
      await reference.dispose();
      for (const precision of precisions) {
        const runtime: RuntimeOptions = { provider, threads: 0, precision, fusedExperts: true };
        const target = graphTarget(runtime);
        // Large experts are never fused; the two forms are then the same.
        const forms = target.experts === 'fused' ? (['fused', 'sorted'] as const) : ([target.experts] as const);
        for (const experts of forms) {
          const title = `${name}, ${label}, ${precision} ${experts}`;
          try {
            const timed = await timeRuns(block, { ...target, experts }, runtime, entry);
            const { error, ranks } = compare(timed.results, expected, block.activeExperts);
            lines.push(
              { name: `${title}: input to norms`, value: timed.run, unit: 'ms' },
              { name: `${title}: session`, value: timed.open, unit: 'ms' },
              { name: `${title}: first run`, value: timed.first, unit: 'ms' },
              { name: `${title}: largest relative error`, value: error, unit: '' },
              { name: `${title}: rank correlation of tokens`, value: ranks, unit: '' },
            );
          } catch (failure) {
            console.warn(`${title}: ${failure instanceof Error ? failure.message : String(failure)}`);
          }
        }
      }
    }
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Layers one after the other as a profile runs them, against the time in which the same bytes are only read and copied. */
async function benchmarkProfile(name: SyntheticShape): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-gpu-'));
  try {
    writeSyntheticCheckpoint(folder, name, profiledLayers);
    const { resolved } = await openModel(folder);
    const probes = new GaussianProbes(8, (2 * tokens) / 8, syntheticShapes[name].hidden, 0);
    const bytes = specTensors(resolved.blocks[0]!).reduce((sum, entry) => sum + entry.byteLength, 0);
    const lines: BenchmarkLine[] = [];
    for (const precision of ['float32', 'float16'] as const) {
      const seconds: number[] = [];
      for (const block of resolved.blocks) {
        const start = performance.now();
        await measureSensitivity(block, probes, { provider, threads: 0, precision, fusedExperts: true }, quietJob());
        seconds.push((performance.now() - start) / 1000);
      }
      // The first layer also starts the device.
      const layer = median(seconds.slice(1));
      lines.push(
        { name: `${name}: profile of a layer, ${2 * tokens} tokens, ${precision}`, value: layer, unit: 's' },
        { name: `${name}: the first layer, ${precision}`, value: seconds[0]!, unit: 's' },
        { name: `${name}: weights, ${precision}`, value: bytes / layer / 1e9, unit: 'GB/s' },
      );
    }
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function benchmarkGpu(): Promise<void> {
  const probe = await probeProvider(provider, 0);
  if (!probe.ok) {
    console.warn(`SKIPPED: the provider ${provider} does not work here. ${probe.reason}`);
    return;
  }
  console.log(JSON.stringify({ provider, ...probe }));
  for (const shape of shapes) {
    for (const run of [benchmarkLayer, benchmarkProfile]) {
      for (const { name, value, unit } of await run(shape)) {
        console.log(`${name}: ${value.toPrecision(4)} ${unit}`);
      }
    }
  }
}

await benchmarkGpu();
