import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import type { BudgetParams } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import type { PlanGates } from '../protocol/plan';
import { trainedActiveExperts } from './activeExperts';
import { calibrationText } from './calibrationText';
import { gateFactors } from './gateFactors';
import { gateReferenceRefusal } from './gateReference';
import type { OpenModel } from './openModel';
import { runtimeOptions, type EngineServices } from './services';

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
  const text = params.text.length === 0 ? undefined : await calibrationText(model, params);
  const runtime = await runtimeOptions(services, job);
  const { seed } = params;
  return {
    scale: await gateFactors({ model, activeExperts, sequences: text?.sequences, seed, runtime, job }),
    ...(text === undefined ? {} : { calibrationTokens: text.tokens }),
    seed,
  };
}
