import { layerFingerprint } from '../checkpoint/fingerprint';
import type { DecoderLayerSpec, ModelSpec } from '../families/specification';
import { specTensors } from '../families/specTensors';
import type { JobContext } from '../measure/jobContext';
import { batchSequences } from '../measure/sequenceBatches';
import { VariantMeter, type Variant } from '../measure/variantMeter';
import { windowScoresSchema, type WindowScores } from '../protocol/budget';
import { prunedBlock } from '../transform/pruneStage';
import { withReplaced, type ReplacedExperts } from '../transform/replacedExperts';
import { runtimeKey } from '../runtime/graphTargets';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import { attentionHeads } from './evaluate';
import type { OpenModel } from './openModel';
import { ResultCache } from './resultCache';

/** Part of every cache key: raise it when the meaning of a measurement changes. */
const measurementVersion = 2;

/** What a plan does to the experts of a model. */
export interface PrunedModel {
  /** Experts that stay per MoE layer, ascending. */
  readonly keep: readonly (readonly number[])[];
  /** Factor on the routed output per MoE layer. */
  readonly correction?: readonly number[] | undefined;
}

/** What stands for experts that go. */
export interface Replacements {
  /** Per MoE layer. */
  readonly layers: readonly ReplacedExperts[];
  /** Identifies them. */
  readonly key: string;
}

/**
 * Measured quality of pruned models on fixed tokens, remembered on disk. The model is only run when a measurement is missing. Dispose it.
 */
export class PruneMeasurements {
  private meter: Promise<VariantMeter> | undefined;
  /** Layers made so far, so that equal layers are the same object and share sessions and hidden states. */
  private readonly layers = new Map<string, DecoderLayerSpec>();
  /** Measurements made by this run; those found in the cache do not count. */
  made = 0;

  private constructor(
    private readonly decoder: ModelSpec,
    private readonly reference: unknown,
    private readonly sequences: readonly Int32Array[],
    private readonly runtime: RuntimeOptions,
    private readonly cache: ResultCache,
    private readonly job: JobContext,
    private readonly replacements: Replacements | undefined,
  ) {}

  /**
   * @param sequences token sequences to measure on
   * @param key identifies them
   * @param replacements what stands for experts that go; their router rows go too where it is absent
   */
  static async create(
    model: OpenModel,
    sequences: readonly Int32Array[],
    key: string,
    runtime: RuntimeOptions,
    cache: ResultCache,
    job: JobContext,
    replacements?: Replacements,
  ): Promise<PruneMeasurements> {
    const decoder = model.resolved.decoder();
    const weights = await layerFingerprint(specTensors(decoder));
    const reference = [
      'pruned',
      measurementVersion,
      weights,
      trainedActiveExperts(model),
      key,
      runtimeKey(runtime),
      ...(replacements === undefined ? [] : [replacements.key]),
    ];
    return new PruneMeasurements(decoder, reference, sequences, runtime, cache, job, replacements);
  }

  /**
   * Scores of every sequence.
   * @param base a model measured before from which this one differs in few layers
   */
  async measure(pruned: PrunedModel, base?: PrunedModel): Promise<WindowScores> {
    const key = ResultCache.key([this.reference, pruned.keep, pruned.correction ?? null]);
    const cached = windowScoresSchema.safeParse(await this.cache.readLayer(key));
    if (cached.success) {
      return cached.data;
    }
    this.meter ??= this.openMeter();
    const meter = await this.meter;
    const windows = await meter.measureWindows(
      this.variant(pruned),
      base === undefined ? undefined : this.variant(base),
    );
    this.made += 1;
    await this.cache.writeLayer(key, windows);
    return windows;
  }

  async dispose(): Promise<void> {
    await (await this.meter?.catch(() => undefined))?.dispose();
  }

  private variant({ keep, correction }: PrunedModel): Variant {
    let position = -1;
    return this.decoder.layers.map((layer) => {
      if (layer.feedForward.kind !== 'moe') {
        return layer;
      }
      position += 1;
      const [kept, scale] = [keep[position]!, correction?.[position]];
      const key = `${layer.index} ${kept.join()} ${scale ?? 1}`;
      const { block: original } = layer.feedForward;
      const replaced = this.replacements?.layers[position];
      const block =
        replaced === undefined ? prunedBlock(original, kept, scale) : withReplaced(original, kept, replaced);
      const known = block === original ? layer : this.layers.get(key);
      const made = known ?? { ...layer, feedForward: { kind: 'moe' as const, block } };
      this.layers.set(key, made);
      return made;
    });
  }

  private openMeter(): Promise<VariantMeter> {
    const { decoder, sequences, runtime, job } = this;
    return VariantMeter.open({
      model: decoder,
      runtime,
      batches: batchSequences(sequences, attentionHeads(decoder)),
      sequences,
      job,
    });
  }
}
