import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import type { BudgetParams } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import type { PlanGates } from '../protocol/plan';
import { trainedActiveExperts } from './activeExperts';
import { calibrationText } from './calibrationText';
import { factorsFor, gateScalesOnProbes, gateScalesOnText } from './gateFactors';
import { gateReferenceRefusal } from './gateReference';
import type { OpenModel } from './openModel';
import { runtimeOptions, type EngineServices } from './services';
import { tunedFactors } from './tunedFactors';

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
 * (arXiv 2609.04575); "scale" measures the factor that brings each layer closest to its trained output: on the calibration text
 * where there is any, in the strength that measures best on the whole model, else on Gaussian inputs.
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
  const { seed } = params;
  const runtime = await runtimeOptions(services, job);
  const request = { model, runtime, job };
  if (params.text.length === 0) {
    return { scale: factorsFor(await gateScalesOnProbes(request, seed), activeExperts), seed };
  }
  const text = await calibrationText(model, params);
  const { cache } = services;
  const scales = await gateScalesOnText(request, text, cache);
  const { factors } = await tunedFactors({ ...request, activeExperts, cache }, scales, text);
  return { scale: [...factors], calibrationTokens: text.tokens, seed };
}
