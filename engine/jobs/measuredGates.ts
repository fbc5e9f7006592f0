import type { DecoderLayerSpec } from '../families/specification';
import { layerWithBlock } from '../families/layerWithBlock';
import { measureOnText } from '../measure/calibratedSensitivity';
import { measureGateScales } from '../measure/gateScales';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { batchSequences } from '../measure/sequenceBatches';
import { qualityOf } from '../measure/stateScores';
import { VariantMeter, type Variant } from '../measure/variantMeter';
import { pairedDifference } from '../methods/budgets/heldOutChoice';
import type { WindowScores } from '../protocol/budget';
import type { PlanGates } from '../protocol/plan';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import type { CalibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import type { OpenModel } from './openModel';

export interface MeasuredGatesRequest {
  readonly model: OpenModel;
  readonly activeExperts: ActiveExperts;
  /** Text that the factors are measured on. */
  readonly search: CalibrationText;
  /** Other text, on which they must help. */
  readonly heldOut: CalibrationText;
  /** Scores of the same active experts without factors on that other text. */
  readonly plain: WindowScores;
  readonly seed: number;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/** What was measured of the factors; they are given where they help by more than the noise. */
export interface MeasuredGates {
  /** By MoE layer. */
  readonly factors: readonly number[];
  readonly gates: PlanGates | undefined;
  readonly note: string;
}

/**
 * One factor per layer on the output of its experts, which makes up for what fewer of them miss on average, and whether it brings the
 * model nearer to the trained one: KL divergence, paired over windows of text that the factors were not measured on. It is taken where the
 * mean difference is larger than its standard error, as allocations are.
 */
export async function measuredGates(request: MeasuredGatesRequest): Promise<MeasuredGates> {
  const { model, search, plain, seed } = request;
  const factors = await gateFactors(request);
  const scaled = await measureScaled(request, factors);
  const { mean, standardError } = pairedDifference(scaled.kl, plain.kl, plain.tokens);
  const [before, after] = [plain, scaled].map((scores) => qualityOf(scores).kl.toPrecision(4));
  const helps = -mean > standardError;
  const compared = `Factors on the experts' outputs were measured too: KL ${after} with them on other text, ${before} without.`;
  return {
    factors,
    gates: helps ? { scale: factors, calibrationTokens: search.tokens, seed } : undefined,
    note: helps
      ? `${compared} They are in the plan; checkpoints get them folded into the weights of ${model.resolved.blocks.length} layers. "--gates none" leaves them out.`
      : `${compared} They were left out.`,
  };
}

/** By MoE layer, the factor that brings the output at its k nearest to the trained output. */
async function gateFactors(request: MeasuredGatesRequest): Promise<number[]> {
  const { model, activeExperts, search, runtime, job } = request;
  const spec = model.resolved.decoder();
  const { sequences } = search;
  const batches = batchSequences(sequences, attentionHeads(spec));
  const trained = trainedActiveExperts(model);
  const scales = await measureOnText(
    { model: spec, blocks: model.resolved.blocks, trained, batches, sequences, runtime, job },
    (block, probes) => measureGateScales(block, probes, runtime, job),
  );
  return scales.map((byK, at) => Number((byK[activeExperts[at]! - 1] ?? 1).toPrecision(6)));
}

async function measureScaled(
  { model, activeExperts, heldOut, runtime, job }: MeasuredGatesRequest,
  factors: readonly number[],
): Promise<WindowScores> {
  const spec = model.resolved.decoder();
  const { sequences, scored } = heldOut;
  const batches = batchSequences(sequences, attentionHeads(spec));
  const meter = await VariantMeter.open({ model: spec, runtime, batches, sequences, scored, job });
  try {
    return await meter.measureWindows(scaledLayers(spec.layers, activeExperts, factors));
  } finally {
    await meter.dispose();
  }
}

/** The layers with other active experts and a factor on the routed output. */
function scaledLayers(
  layers: readonly DecoderLayerSpec[],
  activeExperts: ActiveExperts,
  factors: readonly number[],
): Variant {
  let position = 0;
  return layers.map((layer) => {
    if (layer.feedForward.kind !== 'moe') {
      return layer;
    }
    const { block } = layer.feedForward;
    const at = position;
    position += 1;
    return layerWithBlock(layer, {
      ...block,
      activeExperts: activeExperts[at]!,
      routedScale: (block.routedScale ?? 1) * factors[at]!,
    });
  });
}
