import { measureOnText } from '../measure/calibratedSensitivity';
import { measureGateScales } from '../measure/gateScales';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { GaussianProbes } from '../measure/probeInputs';
import { batchSequences } from '../measure/sequenceBatches';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import { attentionHeads } from './evaluate';
import type { OpenModel } from './openModel';

/** Gaussian tokens behind a factor where there is no text. */
const probeTokens = 8192;

export interface GateFactorsRequest {
  readonly model: OpenModel;
  readonly activeExperts: ActiveExperts;
  /** Text to measure on; Gaussian inputs where it is absent. */
  readonly sequences: readonly Int32Array[] | undefined;
  /** Of the Gaussian inputs. */
  readonly seed: number;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/** By MoE layer, the factor that brings the output of its experts at its k nearest to the output at the trained k. */
export async function gateFactors(request: GateFactorsRequest): Promise<number[]> {
  const { activeExperts } = request;
  const scales = await layerScales(request);
  return scales.map((byK, at) => Number((byK[activeExperts[at]! - 1] ?? 1).toPrecision(6)));
}

/** Factors per MoE layer by k - 1. */
async function layerScales({ model, sequences, seed, runtime, job }: GateFactorsRequest): Promise<number[][]> {
  const { blocks, hiddenSize } = model.resolved;
  if (sequences === undefined) {
    const probes = new GaussianProbes(1, probeTokens, hiddenSize, seed);
    const scales: number[][] = [];
    for (const block of blocks) {
      scales.push(await measureGateScales(block, probes, runtime, job));
    }
    return scales;
  }
  const spec = model.resolved.decoder();
  const batches = batchSequences(sequences, attentionHeads(spec));
  const options = { model: spec, blocks, trained: trainedActiveExperts(model), batches, sequences, runtime, job };
  return measureOnText(options, (block, probes) => measureGateScales(block, probes, runtime, job));
}
