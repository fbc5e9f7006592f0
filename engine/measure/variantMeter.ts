import type { DecoderLayerSpec, ModelSpec } from '../families/specification';
import { decoderLayerGraph, layerNames, moeBlockOf } from '../graph/decoderLayerGraph';
import { scoreGraph } from '../graph/modelEndsGraph';
import type { AllocationQuality, WindowScores } from '../protocol/budget';
import { openGraph } from '../runtime/openGraph';
import { floats, type RuntimeSession } from '../runtime/session';
import { embedBatches } from './embedding';
import { HiddenStore, type MachineOptions } from './hiddenStore';
import { step, type JobContext } from './jobContext';
import { LayerInputs } from './layerInputs';
import { allFinite, explainNonFinite } from './nonFinite';
import type { ScoredPositions } from './predictedRows';
import type { SequenceBatch } from './sequenceBatches';
import { qualityOf, scoreWindows } from './stateScores';

const stepDeadlineSeconds = 300;

/** One way to run a model: its decoder layers, some of which may have changed blocks. Layers are compared by identity. */
export type Variant = readonly DecoderLayerSpec[];

/** Hidden states before the layers of one variant; states that an older trace has too are shared with it. */
interface Trace {
  readonly variant: Variant;
  /** Store keys of the states before every layer and, last, after all of them. */
  readonly states: readonly string[];
}

/**
 * Sessions that stay open, the ones used last. Every session keeps the memory of its largest run, hundreds of megabytes, so few are
 * worth it: opening one costs a small part of a run.
 */
const openSessions = 2;

export interface VariantMeterOptions {
  readonly model: ModelSpec;
  readonly runtime: MachineOptions;
  readonly batches: readonly SequenceBatch[];
  readonly sequences: readonly Int32Array[];
  /** Which predicted positions of every sequence count; all by default. */
  readonly scored?: readonly ScoredPositions[] | undefined;
  readonly job: JobContext;
}

/**
 * Measures changed models against the model as trained on fixed calibration tokens, again and again. A variant that has the layers of a
 * kept one up to some layer starts there. Every block runs with its own number of active experts. Dispose it.
 */
export class VariantMeter {
  private readonly store: HiddenStore;
  private readonly inputs = new LayerInputs();
  private readonly sessions = new Map<DecoderLayerSpec, RuntimeSession>();
  private traces: Trace[] = [];
  private score: RuntimeSession | undefined;
  private counter = 0;

  private constructor(private readonly options: VariantMeterOptions) {
    this.store = new HiddenStore(options.runtime.hiddenMemoryBytes);
  }

  static async open(options: VariantMeterOptions): Promise<VariantMeter> {
    const meter = new VariantMeter(options);
    try {
      const key = meter.fresh();
      await embedBatches(options, (at, values) => meter.store.write(`${key}-${at}`, values));
      meter.traces.push(await meter.run(options.model.layers, [key]));
      meter.score = await openGraph((target) => scoreGraph(options.model, true, target), options.runtime);
      return meter;
    } catch (error) {
      await meter.dispose();
      throw error;
    }
  }

  /**
   * Quality of one variant.
   * @param base a variant measured before whose hidden states are worth keeping; besides it only the trained model's stay
   */
  async measure(variant: Variant, base?: Variant): Promise<AllocationQuality> {
    return qualityOf(await this.measureWindows(variant, base));
  }

  /** The same, window by window. */
  async measureWindows(variant: Variant, base?: Variant): Promise<WindowScores> {
    await this.keepOnly(base);
    const shared = this.traces.map((trace) => sharedLayers(trace.variant, variant));
    const longest = Math.max(...shared);
    const start = this.traces[shared.indexOf(longest)]!;
    const made = await this.run(variant, start.states.slice(0, longest + 1));
    this.traces.push(made);
    return this.compare(made.states.at(-1)!);
  }

  async dispose(): Promise<void> {
    await this.score?.dispose();
    for (const session of this.sessions.values()) {
      await session.dispose();
    }
    this.sessions.clear();
    await this.store.dispose();
  }

  /** Runs the layers whose states are not known yet. */
  private async run(variant: Variant, known: readonly string[]): Promise<Trace> {
    const states = [...known];
    for (let index = known.length - 1; index < variant.length; index += 1) {
      const next = this.fresh();
      for (let at = 0; at < this.options.batches.length; at += 1) {
        await this.runLayer(variant[index]!, at, states[index]!, next);
      }
      states.push(next);
    }
    return { variant, states };
  }

  private async runLayer(layer: DecoderLayerSpec, at: number, from: string, to: string): Promise<void> {
    const { model, batches, job } = this.options;
    const batch = batches[at]!;
    const data = await this.store.read(`${from}-${at}`);
    const shape = [batch.count, batch.time, model.hiddenSize];
    const values = await step(job, `layer ${layer.index}`, stepDeadlineSeconds, async () => {
      const session = await this.session(layer);
      const feeds = this.inputs.feeds(layer, batch.time, undefined);
      const hidden = { type: 'float32', data, shape } as const;
      return floats(await session.run({ ...feeds, [layerNames.hidden]: hidden }, [layerNames.next]), layerNames.next);
    });
    if (!allFinite(values)) {
      await explainNonFinite(layer, layer.index);
    }
    await this.store.write(`${to}-${at}`, values);
  }

  /** The session of a layer; the one used longest ago makes room for it. */
  private async session(layer: DecoderLayerSpec): Promise<RuntimeSession> {
    const known = this.sessions.get(layer);
    if (known !== undefined) {
      this.sessions.delete(layer);
      this.sessions.set(layer, known);
      return known;
    }
    while (this.sessions.size >= openSessions) {
      const [oldest, session] = [...this.sessions][0]!;
      this.sessions.delete(oldest);
      await session.dispose();
    }
    const { model, runtime } = this.options;
    const opened = await openGraph((target) => decoderLayerGraph(layer, model.hiddenSize, target), runtime, {
      batched: [layerNames.hidden],
      block: moeBlockOf(layer),
    });
    this.sessions.set(layer, opened);
    return opened;
  }

  private compare(after: string): Promise<WindowScores> {
    const { model, batches, sequences, scored, job } = this.options;
    return scoreWindows({
      model,
      batches,
      sequences,
      scored,
      job,
      score: this.score!,
      baseline: (batch) => this.store.read(`${this.traces[0]!.states.at(-1)!}-${batch}`),
      changed: (batch) => this.store.read(`${after}-${batch}`),
    });
  }

  /** Drops the traces that are neither the trained model's nor the given one, and the states only they had. */
  private async keepOnly(base: Variant | undefined): Promise<void> {
    const staying = this.traces.filter(
      ({ variant }, at) => at === 0 || (base !== undefined && sharedLayers(variant, base) === base.length),
    );
    const used = new Set(staying.flatMap(({ states }) => states));
    for (const key of new Set(this.traces.flatMap(({ states }) => states))) {
      if (!used.has(key)) {
        for (let at = 0; at < this.options.batches.length; at += 1) {
          await this.store.delete(`${key}-${at}`);
        }
      }
    }
    this.traces = staying;
  }

  private fresh(): string {
    this.counter += 1;
    return `states${this.counter}`;
  }
}

/** How many layers from the first two variants have in common. */
function sharedLayers(left: Variant, right: Variant): number {
  const different = left.findIndex((layer, index) => layer !== right[index]);
  return different === -1 ? left.length : different;
}
