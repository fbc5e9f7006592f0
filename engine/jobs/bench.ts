import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { writeError } from '../checkpoint/atomicFile';
import { placeStacked } from '../export/onnx/placedGraph';
import { dataFileName } from '../export/onnx/externalData';
import { modelFileName } from '../export/onnx/genaiConfig';
import { planOnnx, type PlannedOnnx } from '../export/onnx/planOnnx';
import { writeArtefact } from '../export/writeArtefact';
import type { ModelSpec, MoeBlockSpec } from '../families/specification';
import { exportedBlockGraph } from '../graph/export/exportedBlockGraph';
import { StackedTensors } from '../graph/export/stackedTensors';
import { timeExportedBlocks, type TimedBlock } from '../measure/exportedBlockLatency';
import { measureGeneration, type GenerationRound, type GenerationSpeed } from '../measure/generationSpeed';
import type { JobContext } from '../measure/jobContext';
import { median, spreadOf } from '../measure/spread';
import { isotonic } from '../numeric/isotonic';
import type { BenchLayer, BenchParams, BenchResult } from '../protocol/bench';
import { TunerError, type ErrorCode } from '../protocol/errors';
import { DeviceJournal } from '../runtime/deviceJournal';
import { ranOn } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import { longestSequence } from './longestSequence';
import { openModel } from './openModel';
import { openPlannedModel, type PlannedModel } from './plannedModel';
import type { EngineServices } from './services';

/** Exported models hold their weights as float32 once they are loaded: twice the bytes of the usual half precision. */
const loadedGrowth = 2;
/** Share of the free memory that two models may take together. */
const togetherShare = 0.6;

/** Rounds of the layers for one of the generation: they take a thousandth of its time each. */
const layerRounds = 4;

/** Failures of a device that the processor does not have. */
const deviceErrors: ReadonlySet<ErrorCode> = new Set(['runtimeFailed', 'outOfMemory', 'deviceFailed']);

/** What is measured on, and what it could not do. */
interface BenchRuntime extends RuntimeOptions {
  readonly journal: DeviceJournal;
  readonly told: readonly string[];
}

/** A model that was exported to be measured. */
interface Exported {
  readonly folder: string;
  readonly onnx: PlannedOnnx;
  readonly blocks: readonly MoeBlockSpec[];
  readonly activeExperts: readonly number[];
  readonly bytes: number;
}

/**
 * Measured speed of a checkpoint as an exported ONNX model, and of a plan against it in one interleaved run: tokens per second of
 * prefill and greedy decode, memory, and microseconds of every MoE layer by active experts.
 * @throws TunerError `unsupportedFeature`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, `runtimeFailed`, `cancelled`
 */
export async function bench(params: BenchParams, services: EngineServices, job: JobContext): Promise<BenchResult> {
  const start = performance.now();
  const model = await openModel(params.checkpoint);
  const { resolved, fingerprint, checkpoint } = model;
  assertLength(params, longestSequence(resolved));
  const decoder = resolved.decoder();
  const runtime = await benchRuntime(services, job);
  const planned = await openPlannedModel(model, params, job);
  const scratch = await scratchFolder(services.settings.cacheDirectory);
  try {
    const trained: PlannedModel = { ...planned, blocks: resolved.blocks, activeExperts: trainedActiveExperts(model) };
    const exportModel = (name: string, spec: ModelSpec, { blocks, activeExperts }: PlannedModel) =>
      writeExport(
        path.join(scratch, name),
        { spec, onnx: planOnnx(spec, resolved, activeExperts), blocks, activeExperts },
        job,
      );
    const changed = planned.changed ? await exportModel('plan', planned.decoder(decoder), planned) : undefined;
    const baseline = await exportModel('baseline', decoder, trained);
    const variants = changed === undefined ? [baseline] : [changed, baseline];
    const needed = variants.reduce((sum, { bytes }) => sum + bytes, 0) * loadedGrowth;
    const { speeds, layers } = await onDeviceOrProcessor(runtime, async (machine) => ({
      speeds: await measureGeneration({
        files: variants.map(({ folder }) => path.join(folder, modelFileName)),
        fileBytes: variants.map(({ bytes }) => bytes),
        load: { ...params, vocabularySize: resolved.vocabularySize },
        rounds: params.rounds,
        runtime: machine,
        job,
        together: needed < os.freemem() * togetherShare,
      }),
      layers: await layerTable(variants, params, machine, job),
    }));
    const [measured, reference] = speeds as [GenerationSpeed, GenerationSpeed | undefined];
    job.progress(1, 'Done');
    return {
      checkpoint: checkpoint.folder,
      fingerprint,
      ...(params.plan === undefined ? {} : { plan: path.resolve(params.plan) }),
      provider: runtime.journal.usedProcessor ? 'cpu' : ranOn(runtime),
      threads: runtime.threads,
      batch: params.batch,
      context: params.context,
      tokens: params.tokens,
      rounds: params.rounds,
      activeExperts: [...variants[0]!.activeExperts],
      ...speedOf(measured, params),
      layers,
      ...(reference === undefined ? {} : comparison(measured, reference, layers, params)),
      exportedBytes: variants[0]!.bytes,
      notes: notes(runtime, layers, params.plan !== undefined && changed === undefined),
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await planned.dispose();
  }
}

/** Exported models compute attention in float32, which ONNX Runtime has on processors only: `auto` takes the processor. */
async function benchRuntime(services: EngineServices, job: JobContext): Promise<BenchRuntime> {
  const { provider, threads } = services.settings;
  const told: string[] = [];
  const journal = new DeviceJournal((message) => {
    told.push(message);
    job.log('warn', message);
  });
  if (provider === 'auto') {
    return { provider: 'cpu', threads, journal, told };
  }
  const { selected } = await services.providers.select(provider);
  if (selected !== 'cpu') {
    job.log('warn', 'Exported models compute in float32: parts of them run on the processor whatever the provider is.');
  }
  return { provider: selected, threads, journal, told };
}

/**
 * Measures on the device, and where it cannot run the models, everything once more on the processor: a comparison of a model on one
 * with a model on the other would say nothing.
 */
async function onDeviceOrProcessor<Measured>(
  runtime: BenchRuntime,
  measure: (machine: RuntimeOptions) => Promise<Measured>,
): Promise<Measured> {
  try {
    return await measure(runtime);
  } catch (error) {
    const fromDevice = TunerError.is(error) && deviceErrors.has(error.code);
    if (runtime.provider === 'cpu' || !fromDevice) {
      throw error;
    }
    const what = `The exported models do not run with ${runtime.provider}: everything was measured on the processor.`;
    runtime.journal.toProcessor(`${what} ${error.message}`, true);
    return measure({ ...runtime, provider: 'cpu' });
  }
}

/** @throws TunerError `usage` where the model has fewer positions than are asked for */
function assertLength({ context, tokens }: BenchParams, positions: number): void {
  if (context + tokens > positions) {
    throw new TunerError('usage', `The model has ${positions} positions, and ${context + tokens} were asked for.`, {
      place: '--context',
      wayOut: `Choose a context and tokens of ${positions} together at most.`,
    });
  }
}

async function scratchFolder(cacheDirectory: string): Promise<string> {
  try {
    await mkdir(cacheDirectory, { recursive: true });
    return await mkdtemp(path.join(cacheDirectory, 'bench-'));
  } catch (error) {
    throw writeError(error, cacheDirectory);
  }
}

async function writeExport(
  folder: string,
  { onnx, blocks, activeExperts }: Omit<Exported, 'folder' | 'bytes'> & { readonly spec: ModelSpec },
  job: JobContext,
): Promise<Exported> {
  const written = await writeArtefact(folder, onnx.files, { job, verify: () => Promise.resolve() });
  return { folder, onnx, blocks, activeExperts, bytes: written.bytes };
}

/** A block with one more active expert does not get faster: where medians say so, it is noise of the machine. */
const noisyShare = 0.1;

/** Times of all layers by k, of the first variant, and of the last one (the baseline) at its own k. */
async function layerTable(
  variants: readonly Exported[],
  { batch, rounds }: BenchParams,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<BenchLayer[]> {
  const [first, baseline] = [variants[0]!, variants.at(-1)!];
  const mostOf = (at: number) => Math.max(first.activeExperts[at]!, baseline.activeExperts[at]!);
  const times = await timeExportedBlocks(
    first.blocks.map((block, at) => timedBlock(first, block, Math.min(block.experts.length, mostOf(at)))),
    batch,
    rounds * layerRounds,
    runtime,
    job,
  );
  // Blocks whose weights the plan changes are timed once more as they were.
  const changed = baseline.blocks.flatMap((block, at) => (block === first.blocks[at] ? [] : [at]));
  const before =
    changed.length === 0
      ? []
      : await timeExportedBlocks(
          changed.map((at) => timedBlock(baseline, baseline.blocks[at]!, baseline.activeExperts[at]!)),
          batch,
          rounds * layerRounds,
          runtime,
          job,
        );
  return first.blocks.map((block, at) => {
    const baselineActive = baseline.activeExperts[at]!;
    const own = isotonic(changed.indexOf(at) === -1 ? times[at]! : before[changed.indexOf(at)]!);
    return {
      index: block.layer,
      experts: block.experts.length,
      active: first.activeExperts[at]!,
      baselineActive,
      form: first.onnx.fusedLayers.includes(block.layer) ? 'fused' : 'branches',
      microseconds: isotonic(times[at]!),
      medianMicroseconds: times[at]!,
      baselineMicroseconds: own[baselineActive - 1]!,
    };
  });
}

function timedBlock({ folder, onnx }: Exported, block: MoeBlockSpec, most: number): TimedBlock {
  const graph = exportedBlockGraph(block, most, new StackedTensors());
  const dataFile = path.join(folder, dataFileName);
  return {
    layer: block.layer,
    hiddenSize: block.hiddenSize,
    graph: placeStacked(graph, onnx.stacked, dataFile),
    most,
  };
}

function speedOf({ rounds, peakBytes }: GenerationSpeed, params: BenchParams) {
  const prefill = spreadOf(rounds.map(prefillSpeed(params)));
  const decode = spreadOf(rounds.map(decodeSpeed(params)));
  return {
    prefillTokensPerSecond: prefill.median,
    decodeTokensPerSecond: decode.median,
    prefillRange: [prefill.minimum, prefill.maximum] as [number, number],
    decodeRange: [decode.minimum, decode.maximum] as [number, number],
    peakBytes,
  };
}

const prefillSpeed =
  ({ batch, context }: BenchParams) =>
  ({ prefill }: GenerationRound) =>
    (batch * context * 1000) / prefill;

const decodeSpeed =
  ({ batch, tokens }: BenchParams) =>
  ({ decode }: GenerationRound) =>
    (batch * tokens * 1000) / decode;

/** The plan against the baseline; both took part in every round, so their ratio is taken round by round. */
function comparison(
  measured: GenerationSpeed,
  reference: GenerationSpeed,
  layers: readonly BenchLayer[],
  params: BenchParams,
) {
  const ratio = (milliseconds: (round: GenerationRound) => number) =>
    median(measured.rounds.map((round, at) => milliseconds(reference.rounds[at]!) / milliseconds(round)));
  const perStep = ({ rounds }: GenerationSpeed) => median(rounds.map(({ step }) => step));
  const [measuredMilliseconds, baselineMilliseconds] = [perStep(measured), perStep(reference)];
  const change = layers.reduce(
    (sum, { microseconds, active, baselineMicroseconds }) => sum + microseconds[active - 1]! - baselineMicroseconds,
    0,
  );
  const decodeMilliseconds = baselineMilliseconds + change / 1000;
  return {
    baseline: speedOf(reference, params),
    prefillRatio: ratio(({ prefill }) => prefill),
    decodeRatio: ratio(({ step }) => step),
    prediction: {
      decodeMilliseconds,
      measuredMilliseconds,
      baselineMilliseconds,
      relativeError: decodeMilliseconds / measuredMilliseconds - 1,
    },
  };
}

function notes(
  { provider, told, journal }: BenchRuntime,
  layers: readonly BenchLayer[],
  nothingChanged: boolean,
): string[] {
  const noisy = layers.filter(({ microseconds, medianMicroseconds }) =>
    medianMicroseconds.some((value, at) => Math.abs(value / microseconds[at]! - 1) > noisyShare),
  );
  const which = noisy.map(({ index }) => index).join(', ');
  return [
    ...(nothingChanged ? ['The plan changes nothing that could be measured.'] : []),
    ...told,
    ...(provider === 'cpu' || journal.usedProcessor ? [] : ['Attention in float32 runs on the processor.']),
    ...(noisy.length === 0
      ? []
      : [
          `The machine was not quiet: medians of layer ${which} differ from their non-decreasing fit by more than ${noisyShare * 100} %. More --rounds help.`,
        ]),
  ];
}
