import type { ModelSpec } from '../families/specification';
import { layerNames } from '../graph/decoderLayerGraph';
import { scoreGraph } from '../graph/modelEndsGraph';
import type { AllocationQuality, WindowScores } from '../protocol/budget';
import { openGraph } from '../runtime/openGraph';
import { floats, type RuntimeSession } from '../runtime/session';
import { embedBatches } from './embedding';
import { HiddenStore, type MachineOptions } from './hiddenStore';
import { step, type JobContext } from './jobContext';
import { LayerInputs } from './layerInputs';
import { LayerSessions } from './layerSessions';
import type { ActiveExperts } from './layerWalk';
import { allFinite, explainNonFinite } from './nonFinite';
import type { SequenceBatch } from './sequenceBatches';
import type { ScoredPositions } from './predictedRows';
import { qualityOf, scoreWindows } from './stateScores';

/** Bytes of hidden states that one trace may take; deep or wide models keep every n-th layer only. */
const traceBytes = 2 ** 29;
const stepDeadlineSeconds = 300;

/** Hidden states before some of the layers under one allocation; parts below a change belong to an older trace. */
interface Trace {
  readonly allocation: ActiveExperts;
  /** Store key of the states before a decoder layer, for the layers that are kept. */
  readonly before: ReadonlyMap<number, string>;
  /** Store key of the states after the last layer. */
  readonly after: string;
}

export interface AllocationMeterOptions {
  readonly model: ModelSpec;
  readonly runtime: MachineOptions;
  readonly batches: readonly SequenceBatch[];
  readonly sequences: readonly Int32Array[];
  /** Which predicted positions of every sequence count; all by default. */
  readonly scored?: readonly ScoredPositions[] | undefined;
  readonly job: JobContext;
  /** Whether measurements start from kept hidden states; false runs each from layer 0, to measure what keeping them saves. */
  readonly reuse?: boolean;
}

/**
 * Measures allocations of active experts on fixed calibration tokens, again and again. An allocation that agrees with a
 * kept one up to some layer starts there instead of at layer 0, so that trying a change in a late layer is cheap.
 * Dispose it: it holds sessions and temporary files.
 */
export class AllocationMeter {
  private readonly store: HiddenStore;
  private readonly inputs = new LayerInputs();
  private readonly sessions: LayerSessions;
  private readonly stride: number;
  private readonly traces: Trace[] = [];
  private score: RuntimeSession | undefined;
  private counter = 0;
  /** Decoder layers run so far and those that were saved by starting from a kept trace. */
  readonly work = { layersRun: 0, layersReused: 0 };

  private constructor(private readonly options: AllocationMeterOptions) {
    const { model, runtime, batches } = options;
    this.store = new HiddenStore(runtime.hiddenMemoryBytes);
    this.sessions = new LayerSessions(model, runtime, 'many');
    const tokens = batches.reduce((sum, { count, time }) => sum + count * time, 0);
    this.stride = Math.max(1, Math.ceil((4 * tokens * model.hiddenSize * model.layers.length) / traceBytes));
  }

  /** Runs the model as trained and keeps its hidden states. `trained` lists k per MoE layer. */
  static async open(options: AllocationMeterOptions, trained: ActiveExperts): Promise<AllocationMeter> {
    const meter = new AllocationMeter(options);
    try {
      const key = meter.fresh();
      await embedBatches(options, (at, values) => meter.store.write(`${key}-${at}`, values));
      meter.traces.push(await meter.run(trained, 0, key, new Map([[0, key]]), true));
      meter.score = await openGraph((target) => scoreGraph(options.model, true, target), options.runtime);
      return meter;
    } catch (error) {
      await meter.dispose();
      throw error;
    }
  }

  /**
   * Quality of one allocation (k per MoE layer). `keep` lists allocations whose hidden states stay for later
   * measurements, besides the trained one; with `trace` this one's are kept until the next call as well.
   */
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
    await this.forget(options.keep ?? []);
    const { trace, layer, key } = this.bestStart(allocation);
    const before = new Map([...trace.before].filter(([at]) => at <= layer));
    const made = await this.run(allocation, layer, key, before, options.trace === true);
    const scores = await this.compare(made.after);
    if (options.trace === true) {
      this.traces.push(made);
    } else if (made.after !== trace.after) {
      await this.drop(made.after);
    }
    return scores;
  }

  async dispose(): Promise<void> {
    await this.score?.dispose();
    await this.sessions.dispose();
    await this.store.dispose();
  }

  /** The deepest kept layer up to which some trace ran exactly as this allocation would. */
  private bestStart(allocation: ActiveExperts): { trace: Trace; layer: number; key: string } {
    if (this.options.reuse === false) {
      const trace = this.traces[0]!;
      return { trace, layer: 0, key: trace.before.get(0)! };
    }
    const candidates = this.traces.map((trace) => {
      const firstDifferent = this.firstDifferentLayer(trace.allocation, allocation);
      const kept = [...trace.before.keys()].filter((at) => at <= firstDifferent);
      if (firstDifferent === this.options.model.layers.length) {
        return { trace, layer: firstDifferent, key: trace.after };
      }
      const layer = Math.max(...kept);
      return { trace, layer, key: trace.before.get(layer)! };
    });
    return candidates.reduce((best, candidate) => (candidate.layer > best.layer ? candidate : best));
  }

  /** Decoder index of the first layer with another k; the number of layers when there is none. */
  private firstDifferentLayer(left: ActiveExperts, right: ActiveExperts): number {
    let moe = 0;
    for (const [index, { feedForward }] of this.options.model.layers.entries()) {
      if (feedForward.kind === 'moe') {
        if (left[moe] !== right[moe]) {
          return index;
        }
        moe += 1;
      }
    }
    return this.options.model.layers.length;
  }

  private async run(
    allocation: ActiveExperts,
    start: number,
    startKey: string,
    before: Map<number, string>,
    record: boolean,
  ): Promise<Trace> {
    const { model, batches } = this.options;
    let moe = model.layers.slice(0, start).filter(({ feedForward }) => feedForward.kind === 'moe').length;
    let current = startKey;
    for (let index = start; index < model.layers.length; index += 1) {
      const isMoe = model.layers[index]!.feedForward.kind === 'moe';
      const next = this.fresh();
      for (let at = 0; at < batches.length; at += 1) {
        await this.runLayer(index, isMoe ? allocation[moe] : undefined, at, current, next);
      }
      moe += isMoe ? 1 : 0;
      const keepInput = record && index % this.stride === 0;
      if (keepInput) {
        before.set(index, current);
      } else if (current !== startKey) {
        await this.drop(current);
      }
      current = next;
    }
    this.work.layersRun += model.layers.length - start;
    this.work.layersReused += start;
    return { allocation: [...allocation], before, after: current };
  }

  private async runLayer(index: number, k: number | undefined, at: number, from: string, to: string): Promise<void> {
    const { model, batches, job } = this.options;
    const layer = model.layers[index]!;
    const batch = batches[at]!;
    const data = await this.store.read(`${from}-${at}`);
    const shape = [batch.count, batch.time, model.hiddenSize];
    const values = await step(job, `layer ${index}`, stepDeadlineSeconds, async () => {
      const session = await this.sessions.layer(index);
      const feeds = this.inputs.feeds(layer, batch.time, k);
      const hidden = { type: 'float32', data, shape } as const;
      return floats(await session.run({ ...feeds, [layerNames.hidden]: hidden }, [layerNames.next]), layerNames.next);
    });
    if (!allFinite(values)) {
      await explainNonFinite(layer, index);
    }
    await this.store.write(`${to}-${at}`, values);
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
      baseline: (batch) => this.store.read(`${this.traces[0]!.after}-${batch}`),
      changed: (batch) => this.store.read(`${after}-${batch}`),
    });
  }

  /** Drops the traces that are neither the trained one nor asked for, and the states only they had. */
  private async forget(keep: readonly ActiveExperts[]): Promise<void> {
    const wanted = new Set(keep.map((allocation) => allocation.join()));
    const staying = this.traces.filter(({ allocation }, at) => at === 0 || wanted.has(allocation.join()));
    const used = new Set(staying.flatMap(({ before, after }) => [...before.values(), after]));
    for (const { before, after } of this.traces) {
      for (const key of [...before.values(), after]) {
        if (!used.has(key)) {
          await this.drop(key);
        }
      }
    }
    this.traces.splice(0, this.traces.length, ...staying);
  }

  private async drop(key: string): Promise<void> {
    for (let at = 0; at < this.options.batches.length; at += 1) {
      await this.store.delete(`${key}-${at}`);
    }
  }

  private fresh(): string {
    this.counter += 1;
    return `states${this.counter}`;
  }
}
