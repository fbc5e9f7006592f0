import * as z from 'zod';
import { layerFingerprint } from '../checkpoint/fingerprint';
import { specTensors } from '../families/specTensors';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { batchSequences } from '../measure/sequenceBatches';
import { qualityOf } from '../measure/stateScores';
import { VariantMeter } from '../measure/variantMeter';
import { pairedDifference } from '../methods/budgets/heldOutChoice';
import { windowScoresSchema, type AllocationQuality, type WindowScores } from '../protocol/budget';
import type { PlanGates } from '../protocol/plan';
import { runtimeKey } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { scaledBlock } from '../transform/scaledBlock';
import { withBlocks } from '../transform/transformModel';
import { trainedActiveExperts } from './activeExperts';
import type { CalibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import { gateFactors } from './gateFactors';
import type { OpenModel } from './openModel';
import { ResultCache } from './resultCache';

/** Part of every cache key: raise it when the meaning of a measurement changes. */
const measurementVersion = 1;

const measurementSchema = z.object({ factors: z.array(z.number()), windows: windowScoresSchema });

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
  readonly cache: ResultCache;
  readonly job: JobContext;
}

/** What was measured of the factors. */
export interface MeasuredGates {
  /** By MoE layer. */
  readonly factors: readonly number[];
  /** On the other text, with the factors. */
  readonly measured: AllocationQuality;
  /** For the plan, where they help by more than the noise. */
  readonly gates: PlanGates | undefined;
  readonly note: string;
}

/**
 * One factor per layer on the output of its experts, which makes up for what fewer of them miss on average, and whether it brings the
 * model nearer to the trained one: KL divergence, paired over windows of text that the factors were not measured on. It is taken where the
 * mean difference is larger than its standard error, as allocations are. Remembered on disk.
 */
export async function measuredGates(request: MeasuredGatesRequest): Promise<MeasuredGates> {
  const { search, plain, seed } = request;
  const { factors, windows } = await remembered(request);
  const { mean, standardError } = pairedDifference(windows.kl, plain.kl, plain.tokens);
  const measured = qualityOf(windows);
  const helps = -mean > standardError;
  const [before, after] = [qualityOf(plain), measured].map(({ kl }) => kl.toPrecision(4));
  const compared = `Factors on the experts' outputs were measured too: KL ${after} with them on other text, ${before} without.`;
  return {
    factors,
    measured,
    gates: helps ? { scale: factors, calibrationTokens: search.tokens, seed } : undefined,
    note: helps
      ? `${compared} They are in the plan, and whatever is written from it gets them in its weights; "--gates none" leaves them out.`
      : `${compared} They were left out.`,
  };
}

async function remembered(request: MeasuredGatesRequest): Promise<z.infer<typeof measurementSchema>> {
  const { model, activeExperts, search, heldOut, seed, runtime, cache, job } = request;
  const spec = model.resolved.decoder();
  const weights = [await layerFingerprint(specTensors(spec)), trainedActiveExperts(model)];
  const texts = [search.key, heldOut.key];
  const key = ResultCache.key(['gates', measurementVersion, weights, texts, runtimeKey(runtime), activeExperts]);
  const cached = measurementSchema.safeParse(await cache.readLayer(key));
  if (cached.success) {
    return cached.data;
  }
  const factors = await gateFactors({ model, activeExperts, sequences: search.sequences, seed, runtime, job });
  const { sequences, scored } = heldOut;
  const batches = batchSequences(sequences, attentionHeads(spec));
  const meter = await VariantMeter.open({ model: spec, runtime, batches, sequences, scored, job });
  try {
    const blocks = spec.layers.flatMap(({ feedForward }) => (feedForward.kind === 'moe' ? [feedForward.block] : []));
    const scaled = blocks.map((block, at) => ({
      ...scaledBlock(block, factors[at]),
      activeExperts: activeExperts[at]!,
    }));
    const windows = await meter.measureWindows(withBlocks(spec, scaled).layers);
    await cache.writeLayer(key, { factors, windows });
    return { factors, windows };
  } finally {
    await meter.dispose();
  }
}
