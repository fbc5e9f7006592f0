import * as z from 'zod';
import { layerFingerprint } from '../checkpoint/fingerprint';
import { specTensors } from '../families/specTensors';
import { measureOnText } from '../measure/calibratedSensitivity';
import { measureGateScales } from '../measure/gateScales';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { GaussianProbes } from '../measure/probeInputs';
import { batchSequences } from '../measure/sequenceBatches';
import { strengthened } from '../methods/budgets/factorStrength';
import { runtimeKey } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import type { CalibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import type { OpenModel } from './openModel';
import { ResultCache } from './resultCache';

/** Gaussian tokens behind a factor where there is no text. */
const probeTokens = 8192;

/** Part of every cache key: raise it when the meaning of a measurement changes. */
const measurementVersion = 1;

/** By MoE layer and by k - 1, the factor on the output of the experts that brings it nearest to the output at the trained k. */
export type GateScales = readonly (readonly number[])[];

const gateScalesSchema = z.array(z.array(z.number()));

export interface GateScalesRequest {
  readonly model: OpenModel;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/** Factors for one allocation, by MoE layer, `strength` times as far from 1 as least squares say. */
export function factorsFor(scales: GateScales, activeExperts: ActiveExperts, strength = 1): number[] {
  return scales.map((byK, at) => Number(strengthened(byK[activeExperts[at]! - 1] ?? 1, strength).toPrecision(6)));
}

/** The factors of every k on Gaussian inputs, for models without text. */
export async function gateScalesOnProbes(
  { model, runtime, job }: GateScalesRequest,
  seed: number,
): Promise<GateScales> {
  const { blocks, hiddenSize } = model.resolved;
  const probes = new GaussianProbes(1, probeTokens, hiddenSize, seed);
  const scales: number[][] = [];
  for (const block of blocks) {
    scales.push(await measureGateScales(block, probes, runtime, job));
  }
  return scales;
}

/** The factors of every k on the inputs that layers get from text. Remembered on disk. */
export async function gateScalesOnText(
  { model, runtime, job }: GateScalesRequest,
  { sequences, key: textKey }: CalibrationText,
  cache: ResultCache,
): Promise<GateScales> {
  const spec = model.resolved.decoder();
  const weights = [await layerFingerprint(specTensors(spec)), trainedActiveExperts(model)];
  const key = ResultCache.key(['gate scales', measurementVersion, weights, textKey, runtimeKey(runtime)]);
  const cached = gateScalesSchema.safeParse(await cache.readLayer(key));
  if (cached.success) {
    return cached.data;
  }
  const { blocks } = model.resolved;
  const batches = batchSequences(sequences, attentionHeads(spec));
  const options = { model: spec, blocks, trained: trainedActiveExperts(model), batches, sequences, runtime, job };
  const scales = await measureOnText(options, (block, probes) => measureGateScales(block, probes, runtime, job));
  await cache.writeLayer(key, scales);
  return scales;
}
