import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { TensorEntry } from '../../engine/checkpoint/types';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { specTensors } from '../../engine/families/specTensors';
import { fedName, fedTypes } from '../../engine/graph/gpu/fedWeights';
import { GraphBuilder } from '../../engine/graph/graphBuilder';
import { cpuTarget, type ExpertPrecision, type GraphTarget } from '../../engine/graph/graphTarget';
import { sensitivityGraph, sensitivityNames } from '../../engine/graph/sensitivityGraph';
import { openModel } from '../../engine/jobs/openModel';
import { quietJob } from '../../engine/measure/jobContext';
import { GaussianProbes, keptDeviceProbeBytes, type ProbeBatches } from '../../engine/measure/probeInputs';
import { SensitivityMeter } from '../../engine/measure/sensitivity';
import { rankCorrelation } from '../../engine/methods/budgets/rankCorrelation';
import { toFloat16Bits } from '../../engine/numeric/halfPrecision';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';
import { graphTarget } from '../../engine/runtime/graphTargets';
import { runtimeVariable, useRuntimeDirectory } from '../../engine/runtime/onnxruntime';
import { floats, openSession, type Feeds, type Results, type RuntimeOptions } from '../../engine/runtime/session';
import { WeightBuffers } from '../../engine/runtime/weightBuffers';
import type { LayerSensitivity } from '../../engine/protocol/sensitivity';
import { sample } from '../../scripts/support/paths.mjs';
import { probeProvider } from '../../engine/runtime/probeProvider';
import { syntheticShapes, writeSyntheticCheckpoint, type SyntheticShape } from '../support/syntheticCheckpoint';
import type { BenchmarkLine } from './budgets';

/** Provider to measure, ONNX Runtime's own name. */
const provider = process.env.MOE_TUNER_BENCH_PROVIDER ?? 'cuda';

/** Probe tokens of one run, as in the published comparison. */
const tokens = 16_384;
const allRows = {
  type: 'int64',
  data: BigInt64Array.from({ length: tokens }, (_, at) => BigInt(at)),
  shape: [tokens],
} as const;
const timedRuns = 9;
const shapes = ['qwen1.5-moe-a2.7b', 'mixtral-8x7b'] as const satisfies readonly SyntheticShape[];
const precisions: readonly ExpertPrecision[] = ['float16', 'bfloat16', 'float32'];

/** Parts to run, a regular expression over their titles (`layer mixtral`, `profile qwen`, `sample`); all where it is left out. */
const wantedParts = new RegExp(process.env.MOE_TUNER_BENCH_PARTS ?? '');

/** Layers of the synthetic checkpoints that are profiled, their tokens, and how many are compared with the processor. */
const profiledLayers: Readonly<Record<(typeof shapes)[number], number>> = {
  'qwen1.5-moe-a2.7b': 8,
  'mixtral-8x7b': 4,
};
const comparedLayers: Readonly<Record<(typeof shapes)[number], number>> = { 'qwen1.5-moe-a2.7b': 4, 'mixtral-8x7b': 1 };
const profiledTokens = 2 * tokens;

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
      [sensitivityNames.rows]: allRows,
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

async function benchmarkLayer(name: SyntheticShape): Promise<void> {
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
    const lines = new PrintedLines();
    for (const { label, block } of variants) {
      const reference = await openSession(sensitivityGraph(block, cpuTarget, entry), { provider: 'cpu', threads: 0 });
      const expected = await reference.run({ [sensitivityNames.rows]: allRows });
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
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Layers one after the other as a profile runs them: seconds of every layer, and the numbers. */
async function profileLayers(
  blocks: readonly MoeBlockSpec[],
  probes: ProbeBatches,
  runtime: RuntimeOptions,
): Promise<{ readonly seconds: number[]; readonly layers: LayerSensitivity[] }> {
  const meter = new SensitivityMeter(blocks, runtime, quietJob());
  const seconds: number[] = [];
  const layers: LayerSensitivity[] = [];
  try {
    for (const [at, block] of blocks.entries()) {
      const start = performance.now();
      layers.push(await meter.measure(block, probes, blocks[at + 1]));
      seconds.push((performance.now() - start) / 1000);
    }
  } finally {
    await meter.dispose();
  }
  return { seconds, layers };
}

/** Makes the system forget what it keeps of the files; false where there is no `dd` that can. */
function dropFromMemory(files: ReadonlySet<string>): boolean {
  return [...files].every((file) => spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0'], {}).status === 0);
}

/** Gigabytes per second at which the weights of layers are read into memory when nothing else happens. */
async function readSpeed(blocks: readonly MoeBlockSpec[]): Promise<number> {
  const buffers = new WeightBuffers();
  const bytes = blocks.reduce((sum, block) => sum + bytesOf(block), 0);
  const start = performance.now();
  for (const block of blocks) {
    buffers.read(specTensors(block));
    await buffers.get();
  }
  const seconds = (performance.now() - start) / 1000;
  await buffers.dispose();
  return bytes / seconds / 1e9;
}

/** Gigabytes per second at which the weights of a layer are copied from memory to the device, one value of each used. */
async function copySpeed(block: MoeBlockSpec, runtime: RuntimeOptions): Promise<number> {
  const fed: TensorEntry[] = [];
  const graph = new GraphBuilder({ ...graphTarget(runtime), fed });
  const zero = graph.integers([0]);
  const values = specTensors(block).map((entry) => {
    const input = fedName(fed.length);
    graph.input(input, fedTypes[entry.dtype]!.type, entry.shape);
    fed.push(entry);
    const flat = graph.node('Reshape', [input, graph.integers([-1])]);
    return graph.node('Cast', [graph.node('Slice', [flat, zero, graph.integers([1])])], { to: DataType.FLOAT });
  });
  graph.output('values', graph.node('Concat', values, { axis: 0 }), DataType.FLOAT, [null]);
  const session = await openSession(graph.build('copies'), runtime);
  const buffers = new WeightBuffers();
  buffers.read(fed);
  const data = await buffers.get();
  const feeds = Object.fromEntries(
    fed.map(({ dtype, shape }, at) => [fedName(at), { type: fedTypes[dtype]!.name, data: data[at]!, shape }]),
  ) as Feeds;
  const times: number[] = [];
  for (let run = 0; run < 6; run += 1) {
    const start = performance.now();
    await session.run(feeds);
    times.push((performance.now() - start) / 1000);
  }
  await session.dispose();
  await buffers.dispose();
  return bytesOf(block) / median(times.slice(1)) / 1e9;
}

function bytesOf(block: MoeBlockSpec): number {
  return specTensors(block).reduce((sum, entry) => sum + entry.byteLength, 0);
}

/** Lines that are printed when they are known: a profile takes minutes. */
class PrintedLines {
  push(...lines: readonly BenchmarkLine[]): void {
    lines.forEach(({ name, value, unit }) => console.log(`${name}: ${value.toPrecision(6)} ${unit}`));
  }
}

/** A whole profile against the speeds at which the same bytes are only read and only copied, and its numbers by precision. */
async function benchmarkProfile(name: (typeof shapes)[number]): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-gpu-'));
  try {
    const { hidden } = syntheticShapes[name];
    writeSyntheticCheckpoint(folder, name, profiledLayers[name]);
    const { blocks } = (await openModel(folder)).resolved;
    const files = new Set(blocks.flatMap((block) => specTensors(block).map(({ file }) => file)));
    const probes = new GaussianProbes(8, profiledTokens / 8, hidden, 0, keptDeviceProbeBytes);
    const layerBytes = bytesOf(blocks[0]!);
    const onDevice: RuntimeOptions = { provider, threads: 0, fusedExperts: true };
    const lines = new PrintedLines();
    lines.push(
      { name: `${name}: weights of a layer`, value: layerBytes / 1e9, unit: 'GB' },
      { name: `${name}: weights copied to the device`, value: await copySpeed(blocks[0]!, onDevice), unit: 'GB/s' },
      { name: `${name}: weights read, in memory`, value: await readSpeed(blocks), unit: 'GB/s' },
    );
    const measured = new Map<ExpertPrecision, LayerSensitivity[]>();
    for (const state of ['in memory', 'on disk'] as const) {
      if (state === 'on disk') {
        if (!dropFromMemory(files)) {
          console.warn(`${name}: SKIPPED on disk: dd cannot drop files from memory here`);
          continue;
        }
        lines.push({ name: `${name}: weights read, on disk`, value: await readSpeed(blocks), unit: 'GB/s' });
      }
      for (const precision of state === 'on disk' ? (['float16'] as const) : precisions) {
        if (state === 'on disk') {
          dropFromMemory(files);
        }
        const { seconds, layers } = await profileLayers(blocks, probes, { ...onDevice, precision });
        measured.set(precision, layers);
        // The first layer also starts the device, the second still gets memory from it; the last has nothing to read ahead.
        const layer = median(seconds.slice(1, -1));
        const title = `${name}: profile, ${profiledTokens} tokens, weights ${state}, ${precision}`;
        lines.push(
          { name: `${title}: layer`, value: layer, unit: 's' },
          { name: `${title}: weights`, value: layerBytes / layer / 1e9, unit: 'GB/s' },
          { name: `${title}: all ${blocks.length} layers`, value: seconds.reduce((a, b) => a + b, 0), unit: 's' },
        );
      }
    }
    const few = blocks.slice(0, comparedLayers[name]);
    const { layers: expected } = await profileLayers(few, probes, { provider: 'cpu', threads: 0 });
    for (const [precision, layers] of measured) {
      lines.push(...agreement(`${name}: ${few.length} layers, ${precision}`, layers.slice(0, few.length), expected));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Largest relative error of the damages of all layers and k, and whether they rank layers and k as the processor does. */
function agreement(
  title: string,
  actual: readonly LayerSensitivity[],
  expected: readonly LayerSensitivity[],
): BenchmarkLine[] {
  const numbers = (layers: readonly LayerSensitivity[]) => layers.flatMap(({ raw }) => raw.slice(0, -1));
  const [mine, theirs] = [numbers(actual), numbers(expected)];
  const error = Math.max(...mine.map((value, at) => Math.abs(value / theirs[at]! - 1)));
  return [
    { name: `${title}: largest relative error of ${mine.length} sensitivities`, value: error, unit: '' },
    { name: `${title}: their rank correlation`, value: rankCorrelation(mine, theirs) ?? NaN, unit: '' },
  ];
}

/** The sample checkpoint, trained: a profile in every precision against the processor. */
async function benchmarkSample(): Promise<void> {
  const { blocks, hiddenSize } = (await openModel(sample)).resolved;
  const probes = new GaussianProbes(8, 2048, hiddenSize, 0);
  const { layers: expected } = await profileLayers(blocks, probes, { provider: 'cpu', threads: 0 });
  const lines = new PrintedLines();
  for (const precision of precisions) {
    const { layers } = await profileLayers(blocks, probes, { provider, threads: 0, precision, fusedExperts: true });
    lines.push(...agreement(`sample, ${precision}`, layers, expected));
  }
}

async function benchmarkGpu(): Promise<void> {
  const folder = process.env[runtimeVariable];
  useRuntimeDirectory(folder === '' ? undefined : folder);
  const probe = await probeProvider(provider, 0);
  if (!probe.ok) {
    console.warn(`SKIPPED: the provider ${provider} does not work here. ${probe.reason}`);
    return;
  }
  console.log(JSON.stringify({ provider, ...probe }));
  const parts: [string, () => Promise<void>][] = [
    ['sample', benchmarkSample],
    ...shapes.map((shape): [string, () => Promise<void>] => [`layer ${shape}`, () => benchmarkLayer(shape)]),
    ...shapes.map((shape): [string, () => Promise<void>] => [`profile ${shape}`, () => benchmarkProfile(shape)]),
  ];
  for (const [title, run] of parts.filter(([part]) => wantedParts.test(part))) {
    await run();
    console.log(`(${title}: done after ${process.uptime().toFixed(0)} s)`);
  }
}

await benchmarkGpu();
