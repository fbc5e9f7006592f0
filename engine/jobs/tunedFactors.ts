import * as z from 'zod';
import { layerFingerprint } from '../checkpoint/fingerprint';
import { moeBlocks } from '../families/moeBlocks';
import { specTensors } from '../families/specTensors';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { batchSequences } from '../measure/sequenceBatches';
import { VariantMeter } from '../measure/variantMeter';
import { bestStrength } from '../methods/budgets/factorStrength';
import { windowScoresSchema, type WindowScores } from '../protocol/budget';
import { runtimeKey } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { scaledBlock } from '../transform/scaledBlock';
import { withBlocks } from '../transform/transformModel';
import { trainedActiveExperts } from './activeExperts';
import type { CalibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import { factorsFor, type GateScales } from './gateFactors';
import type { OpenModel } from './openModel';
import { ResultCache } from './resultCache';

/** Part of every cache key: raise it when the meaning of a measurement changes. */
const measurementVersion = 1;

export interface FactorsRequest {
  readonly model: OpenModel;
  readonly activeExperts: ActiveExperts;
  readonly runtime: RuntimeOptions;
  readonly cache: ResultCache;
  readonly job: JobContext;
}

/** Factors on the experts' outputs, by MoE layer, and how many times as far from 1 they are as least squares say. */
export interface TunedFactors {
  readonly factors: readonly number[];
  readonly strength: number;
}

const strengthSchema = z.object({ strength: z.number() });

/**
 * The least-squares factors of an allocation, all of them strengthened alike so that the KL divergence from the trained model is smallest
 * on `text`. Remembered on disk.
 */
export async function tunedFactors(
  request: FactorsRequest,
  scales: GateScales,
  text: CalibrationText,
): Promise<TunedFactors> {
  const { activeExperts, cache, job } = request;
  const key = await keyOf(request, ['gate strength', text.key, scales]);
  const cached = strengthSchema.safeParse(await cache.readLayer(key));
  const found = (strength: number) => ({ factors: factorsFor(scales, activeExperts, strength), strength });
  if (cached.success) {
    return found(cached.data.strength);
  }
  const strength = await usingMeter(request, text, async (measure) => {
    const points = await bestStrength(async (tried) => {
      const { kl, tokens } = await measure(factorsFor(scales, activeExperts, tried));
      const loss = total(kl) / total(tokens);
      job.log('info', `Factors on the experts' outputs, strength ${tried}: KL ${loss.toPrecision(4)}`);
      return loss;
    });
    return points[0]!.strength;
  });
  await cache.writeLayer(key, { strength });
  return found(strength);
}

/** Scores of an allocation with each of several lists of factors, window by window. Remembered on disk. */
export async function measureFactors(
  request: FactorsRequest,
  lists: readonly (readonly number[])[],
  text: CalibrationText,
): Promise<WindowScores[]> {
  const key = await keyOf(request, ['gates', text.key, lists]);
  const cached = z
    .array(windowScoresSchema)
    .length(lists.length)
    .safeParse(await request.cache.readLayer(key));
  if (cached.success) {
    return cached.data;
  }
  const scores = await usingMeter(request, text, async (measure) => {
    const each: WindowScores[] = [];
    for (const factors of lists) {
      each.push(await measure(factors));
    }
    return each;
  });
  await request.cache.writeLayer(key, scores);
  return scores;
}

async function keyOf({ model, activeExperts, runtime }: FactorsRequest, parts: readonly unknown[]): Promise<string> {
  const weights = await layerFingerprint(specTensors(model.resolved.decoder()));
  const shared = [measurementVersion, weights, trainedActiveExperts(model), runtimeKey(runtime), activeExperts];
  return ResultCache.key([...parts, ...shared]);
}

async function usingMeter<Result>(
  { model, activeExperts, runtime, job }: FactorsRequest,
  { sequences, scored }: CalibrationText,
  work: (measure: (factors: readonly number[]) => Promise<WindowScores>) => Promise<Result>,
): Promise<Result> {
  const spec = model.resolved.decoder();
  const blocks = moeBlocks(spec);
  const batches = batchSequences(sequences, attentionHeads(spec));
  const meter = await VariantMeter.open({ model: spec, runtime, batches, sequences, scored, job });
  try {
    return await work((factors) => {
      const scaled = blocks.map((block, at) => ({
        ...scaledBlock(block, factors[at]),
        activeExperts: activeExperts[at]!,
      }));
      return meter.measureWindows(withBlocks(spec, scaled).layers);
    });
  } finally {
    await meter.dispose();
  }
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
