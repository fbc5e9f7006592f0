import * as z from 'zod';
import { layerFingerprint } from '../checkpoint/fingerprint';
import { readTensorFloat32 } from '../checkpoint/readTensor';
import type { MoeBlockSpec } from '../families/specification';
import { specTensors } from '../families/specTensors';
import type { JobContext } from '../measure/jobContext';
import { GaussianProbes, keptDeviceProbeBytes, ScaledProbes, type ProbeBatches } from '../measure/probeInputs';
import { calibratedSensitivity } from '../measure/calibratedSensitivity';
import { batchSequences } from '../measure/sequenceBatches';
import { SensitivityMeter } from '../measure/sensitivity';
import {
  layerSensitivitySchema,
  profileBatches,
  type LayerSensitivity,
  type ProfileParams,
  type ProfileResult,
} from '../protocol/sensitivity';
import { ranOn, runtimeKey } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import { calibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import { openModel, type OpenModel } from './openModel';
import { ResultCache } from './resultCache';
import { runtimeOptions, type EngineServices } from './services';

/** Part of every cache key: raise it when the meaning of a cached layer changes. */
const sensitivityVersion = 1;

/**
 * Sensitivity of every MoE layer to fewer active experts. Each finished layer is cached at once, so that a job that was
 * cancelled or killed continues with the next one; the numbers are the same either way.
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `unsupportedFeature`, and those of opening a checkpoint
 */
export async function profile(
  params: ProfileParams,
  services: EngineServices,
  job: JobContext,
): Promise<ProfileResult> {
  const model = await openModel(params.checkpoint);
  return profileModel(model, params, services, job);
}

/** The same for a model that is open already; `progress` is the share of the job that the profile covers. */
export async function profileModel(
  model: OpenModel,
  params: Omit<ProfileParams, 'checkpoint'>,
  services: EngineServices,
  job: JobContext,
): Promise<ProfileResult> {
  const start = performance.now();
  const runtime = await runtimeOptions(services, job);
  const measured =
    params.input === 'calibration'
      ? await profileOnText(model, params, services, runtime, job)
      : await profileOnProbes(model, params, services, runtime, job);
  const { layers, resumedLayers, samples } = measured;
  const result: ProfileResult = {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    input: params.input,
    samples,
    seed: params.seed,
    activeExperts: model.resolved.activeExperts,
    layers,
    coefficientOfVariation: Math.max(...layers.map((layer) => layer.coefficientOfVariation)),
    seconds: (performance.now() - start) / 1000,
    provider: ranOn(runtime),
    resumedLayers,
  };
  if (resumedLayers < layers.length) {
    await services.cache.addResult(model.resultsKey, 'profile', result);
  }
  return result;
}

interface MeasuredLayers {
  readonly layers: LayerSensitivity[];
  readonly resumedLayers: number;
  readonly samples: number;
}

async function profileOnProbes(
  model: OpenModel,
  params: Omit<ProfileParams, 'checkpoint'>,
  services: EngineServices,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<MeasuredLayers> {
  const { blocks, hiddenSize } = model.resolved;
  const tokensPerBatch = Math.max(1, Math.round(params.samples / profileBatches));
  const keptBytes = runtime.provider === 'cpu' ? undefined : keptDeviceProbeBytes;
  const gaussian = new GaussianProbes(profileBatches, tokensPerBatch, hiddenSize, params.seed, keptBytes);
  const probesOf = probeSource(model, params, gaussian);
  const keys = new Map<MoeBlockSpec, string>();
  const known = new Map<MoeBlockSpec, LayerSensitivity>();
  for (const block of blocks) {
    const key = await layerKey(block, params, tokensPerBatch, runtime);
    keys.set(block, key);
    const cached = layerSensitivitySchema.safeParse(await services.cache.readLayer(key));
    if (cached.success) {
      known.set(block, cached.data);
    }
  }
  const resumedLayers = known.size;
  const open = blocks.filter((block) => !known.has(block));
  const meter = new SensitivityMeter(open, runtime, job);
  try {
    for (const [at, block] of open.entries()) {
      const position = blocks.indexOf(block);
      job.progress(position / blocks.length, `Profiling MoE layer ${position + 1} of ${blocks.length}`);
      const measured = await meter.measure(block, await probesOf(block), open[at + 1]);
      await services.cache.writeLayer(keys.get(block)!, measured);
      known.set(block, measured);
    }
  } finally {
    await meter.dispose();
  }
  return {
    layers: blocks.map((block) => known.get(block)!),
    resumedLayers,
    samples: tokensPerBatch * profileBatches,
  };
}

/** Text goes through all layers in one walk, so the layers are cached together. */
async function profileOnText(
  model: OpenModel,
  params: Omit<ProfileParams, 'checkpoint'>,
  services: EngineServices,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<MeasuredLayers> {
  const spec = model.resolved.decoder();
  const text = await calibrationText(model, { ...params, calibrationTokens: params.samples });
  const { blocks } = model.resolved;
  const trained = trainedActiveExperts(model);
  const reference = [await layerFingerprint(specTensors(spec)), trained];
  const key = ResultCache.key(['sensitivity on text', sensitivityVersion, reference, text.key, runtimeKey(runtime)]);
  const cached = z.array(layerSensitivitySchema).safeParse(await services.cache.readLayer(key));
  if (cached.success) {
    return { layers: cached.data, resumedLayers: cached.data.length, samples: text.tokens };
  }
  const batches = batchSequences(text.sequences, attentionHeads(spec));
  const { sequences } = text;
  const layers = await calibratedSensitivity({ model: spec, blocks, trained, batches, sequences, runtime, job });
  await services.cache.writeLayer(key, layers);
  return { layers, resumedLayers: 0, samples: text.tokens };
}

function probeSource(
  model: OpenModel,
  params: Omit<ProfileParams, 'checkpoint'>,
  gaussian: ProbeBatches,
): (block: MoeBlockSpec) => Promise<ProbeBatches> {
  if (params.input === 'gaussian') {
    return () => Promise.resolve(gaussian);
  }
  return async (block) => {
    const norm = model.resolved.blockNorm(block.layer);
    if (norm?.weight === undefined) {
      return gaussian;
    }
    const offset = norm.kind === 'rms' ? norm.offset : 0;
    const stored = await readTensorFloat32(norm.weight);
    return new ScaledProbes(
      gaussian,
      stored.map((value) => value + offset),
    );
  };
}

/** Everything the measurement of one layer depends on: weights, structure, probes, precision. */
async function layerKey(
  block: MoeBlockSpec,
  params: Omit<ProfileParams, 'checkpoint'>,
  tokensPerBatch: number,
  runtime: RuntimeOptions,
): Promise<string> {
  const structure = JSON.stringify(block, (key, value: unknown) =>
    key === 'file' || key === 'byteOffset' ? undefined : value,
  );
  return ResultCache.key([
    'sensitivity',
    sensitivityVersion,
    await layerFingerprint(specTensors(block)),
    structure,
    params.input,
    tokensPerBatch,
    params.seed,
    runtimeKey(runtime),
  ]);
}
