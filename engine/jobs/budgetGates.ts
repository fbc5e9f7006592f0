import { measureOnText } from '../measure/calibratedSensitivity';
import { measureGateScales } from '../measure/gateScales';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { GaussianProbes } from '../measure/probeInputs';
import { batchSequences } from '../measure/sequenceBatches';
import type { BudgetParams } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import type { PlanGates } from '../protocol/plan';
import { trainedActiveExperts } from './activeExperts';
import { calibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import { gateReferenceRefusal } from './gateReference';
import type { OpenModel } from './openModel';
import { runtimeOptions, type EngineServices } from './services';

/** Gaussian tokens behind a factor where there is no text. */
const probeTokens = 8192;

/** @throws TunerError `usage` where the routers have no denominator to choose a reference for */
export function assertGates({ resolved }: OpenModel, gates: BudgetParams['gates']): void {
  const refusal = gateReferenceRefusal(resolved.blocks);
  if (gates === 'reference' && refusal !== undefined) {
    throw new TunerError('usage', refusal, {
      place: '--gates',
      wayOut: 'Use --gates scale: a factor per layer works with every router.',
    });
  }
}

/**
 * What a plan does to the gates of layers with fewer active experts. "reference" keeps the denominator of the trained number
 * (arXiv 2609.04575); "scale" measures the factor that brings each layer closest to its trained output, on the calibration text
 * where there is any, else on Gaussian inputs.
 */
export async function gateCorrection(
  model: OpenModel,
  activeExperts: ActiveExperts,
  params: BudgetParams,
  services: EngineServices,
  job: JobContext,
): Promise<PlanGates | undefined> {
  const trained = trainedActiveExperts(model);
  if (params.gates === undefined || params.gates === 'none') {
    return undefined;
  }
  if (params.gates === 'reference') {
    return { reference: trained.map((k, at) => Math.max(k, activeExperts[at]!)), seed: params.seed };
  }
  const { scales, calibrationTokens } = await layerScales(model, params, services, job);
  return {
    scale: scales.map((byK, at) => Number((byK[activeExperts[at]! - 1] ?? 1).toPrecision(6))),
    ...(calibrationTokens === undefined ? {} : { calibrationTokens }),
    seed: params.seed,
  };
}

/** Factors per MoE layer by k - 1. */
async function layerScales(
  model: OpenModel,
  params: BudgetParams,
  services: EngineServices,
  job: JobContext,
): Promise<{ scales: number[][]; calibrationTokens?: number }> {
  const runtime = await runtimeOptions(services, job);
  const { blocks, hiddenSize } = model.resolved;
  if (params.text.length === 0) {
    const probes = new GaussianProbes(1, probeTokens, hiddenSize, params.seed);
    const scales: number[][] = [];
    for (const block of blocks) {
      scales.push(await measureGateScales(block, probes, runtime, job));
    }
    return { scales };
  }
  const spec = model.resolved.decoder();
  const { sequences, tokens } = await calibrationText(model, params);
  const batches = batchSequences(sequences, attentionHeads(spec));
  const options = { model: spec, blocks, trained: trainedActiveExperts(model), batches, sequences, runtime, job };
  const scales = await measureOnText(options, (block, probes) => measureGateScales(block, probes, runtime, job));
  return { scales, calibrationTokens: tokens };
}
