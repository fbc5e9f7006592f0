import { layerFingerprint } from '../checkpoint/fingerprint';
import { moeBlocks } from '../families/moeBlocks';
import { specTensors } from '../families/specTensors';
import { AllocationMeter } from '../measure/allocationMeter';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { batchSequences } from '../measure/sequenceBatches';
import { qualityOf } from '../measure/stateScores';
import { windowScoresSchema, type AllocationQuality, type WindowScores } from '../protocol/budget';
import { runtimeKey } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { blockScaledByActive } from '../transform/scaledBlock';
import { withBlocks } from '../transform/transformModel';
import { trainedActiveExperts } from './activeExperts';
import type { CalibrationText } from './calibrationText';
import { attentionHeads } from './evaluate';
import type { GateScales } from './gateFactors';
import type { OpenModel } from './openModel';
import { ResultCache } from './resultCache';

/** Part of every cache key: raise it when the meaning of a measurement changes. */
const measurementVersion = 2;

/**
 * Measured quality of allocations, remembered on disk: an interrupted search continues, and totals of one checkpoint share
 * what they have in common. The model is only run when a measurement is missing. Dispose it.
 */
export class AllocationMeasurements {
  private meter: Promise<AllocationMeter> | undefined;
  /** Measurements made by this run; those found in the cache do not count. */
  made = 0;

  private constructor(
    private readonly model: OpenModel,
    private readonly text: CalibrationText,
    private readonly runtime: RuntimeOptions,
    private readonly cache: ResultCache,
    private readonly job: JobContext,
    private readonly weightsKey: string,
    private readonly scales: GateScales | undefined,
  ) {}

  /** @param scales factors that the experts' outputs get at every k; none by default */
  static async create(
    model: OpenModel,
    text: CalibrationText,
    runtime: RuntimeOptions,
    cache: ResultCache,
    job: JobContext,
    scales?: GateScales,
  ): Promise<AllocationMeasurements> {
    const weightsKey = await layerFingerprint(specTensors(model.resolved.decoder()));
    return new AllocationMeasurements(model, text, runtime, cache, job, weightsKey, scales);
  }

  /** k per MoE layer as trained. */
  get trained(): ActiveExperts {
    return trainedActiveExperts(this.model);
  }

  /** Quality of an allocation; see {@link AllocationMeter.measure} for the options. */
  async measure(
    allocation: ActiveExperts,
    options: { readonly keep?: readonly ActiveExperts[]; readonly trace?: boolean } = {},
  ): Promise<AllocationQuality> {
    return qualityOf(await this.measureWindows(allocation, options));
  }

  /** The same, window by window. */
  async measureWindows(
    allocation: ActiveExperts,
    options: { readonly keep?: readonly ActiveExperts[]; readonly trace?: boolean } = {},
  ): Promise<WindowScores> {
    const { weightsKey, text, runtime, trained, scales } = this;
    // The full model is the reference: copies of the same weights that state other active experts have another one.
    const reference = [weightsKey, trained];
    const key = ResultCache.key([
      'allocation',
      measurementVersion,
      reference,
      text.key,
      runtimeKey(runtime),
      allocation,
      ...(scales === undefined ? [] : [scales]),
    ]);
    const cached = windowScoresSchema.safeParse(await this.cache.readLayer(key));
    if (cached.success) {
      return cached.data;
    }
    this.meter ??= this.openMeter();
    const scores = await (await this.meter).measureWindows(allocation, options);
    this.made += 1;
    await this.cache.writeLayer(key, scores);
    return scores;
  }

  /** Lets go of the model; the next measurement would open it again. */
  async dispose(): Promise<void> {
    const meter = this.meter;
    this.meter = undefined;
    await (await meter?.catch(() => undefined))?.dispose();
  }

  private openMeter(): Promise<AllocationMeter> {
    const decoder = this.model.resolved.decoder();
    const { sequences, scored } = this.text;
    const batches = batchSequences(sequences, attentionHeads(decoder));
    const { runtime, job, scales } = this;
    const spec =
      scales === undefined
        ? decoder
        : withBlocks(
            decoder,
            moeBlocks(decoder).map((block, at) => blockScaledByActive(block, scales[at]!)),
          );
    return AllocationMeter.open({ model: spec, runtime, batches, sequences, scored, job }, this.trained);
  }
}
