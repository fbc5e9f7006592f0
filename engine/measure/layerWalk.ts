import type { DecoderLayerSpec, ModelSpec } from '../families/specification';
import { layerNames } from '../graph/decoderLayerGraph';
import { floats } from '../runtime/session';
import type { PassProgress } from './calibration/passProgress';
import { embedBatches } from './embedding';
import { HiddenStore, type MachineOptions } from './hiddenStore';
import { step, type JobContext } from './jobContext';
import { LayerInputs } from './layerInputs';
import type { LayerSessions } from './layerSessions';
import { allFinite, explainNonFinite } from './nonFinite';
import type { SequenceBatch } from './sequenceBatches';

/** Longest time one layer may take for one batch before the supervisor ends the process, in seconds. */
const layerDeadlineSeconds = 300;

/** One way to run the model: active experts per MoE layer, in layer order. */
export type ActiveExperts = readonly number[];

/** Hidden states that an earlier walk left behind: those of all different variants, batch after batch. */
export type WalkProgress = Pick<PassProgress, 'readHidden' | 'keepHidden'>;

/** What a MoE block received and gave for one batch, `[count · time, hidden]` each. */
export interface MoeObservation {
  readonly layer: number;
  readonly variant: number;
  readonly batch: number;
  readonly input: Float32Array;
  readonly output: Float32Array;
}

export interface LayerWalkOptions {
  readonly model: ModelSpec;
  readonly sessions: LayerSessions;
  readonly runtime: MachineOptions;
  readonly batches: readonly SequenceBatch[];
  readonly variants: readonly ActiveExperts[];
  /** Sessions of the variants whose weights are not those of `model`, by variant; layers may share their specification. */
  readonly changed?: ReadonlyMap<number, LayerSessions> | undefined;
  readonly job: JobContext;
  /** Called for every MoE block when given; costs copies of inputs and outputs. */
  readonly observe?: (observation: MoeObservation) => Promise<void>;
  /** Where hidden states are kept now and then, so that a walk that was cancelled or killed goes on; not with `observe`. */
  readonly kept?: WalkProgress | undefined;
  /** Share of the job's progress this walk covers, [from, to]. */
  readonly progress?: readonly [number, number];
}

/** Hidden states after the last layer: `hidden(variant, batch)` is `[count, time, hidden]`. Dispose it. */
export interface LayerWalkResult {
  hidden(variant: number, batch: number): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/**
 * Pushes all batches through the layers one after the other, for several variants at once. A variant shares the hidden
 * states of an earlier one as long as all its layers so far were the same and ran with the same k, so nothing is computed
 * twice.
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `runtimeFailed`, `outOfMemory`
 */
export async function walkLayers(options: LayerWalkOptions): Promise<LayerWalkResult> {
  const { model, sessions, batches, variants, job } = options;
  const store = new HiddenStore(options.runtime.hiddenMemoryBytes);
  const inputs = new LayerInputs();
  const [from, to] = options.progress ?? [0, 1];
  try {
    const begun = await begin(options, store);
    const flow = flowOf(options);
    let sources = flow[begun - 1]?.next ?? variants.map(() => 0);
    for (const [index, layer] of model.layers.entries()) {
      if (index < begun) {
        continue;
      }
      const { k, layers, next } = flow[index]!;
      for (const [at, batch] of batches.entries()) {
        const done = (index * batches.length + at) / (model.layers.length * batches.length);
        job.progress(from + (to - from) * done, `Layer ${index + 1} of ${model.layers.length}`);
        const outputs = new Map<number, Float32Array>();
        for (const variant of new Set(next)) {
          const hidden = await store.read(key(sources[variant]!, at));
          const result = await step(job, `layer ${index}`, layerDeadlineSeconds, async () => {
            const own = layers[variant] === layer ? sessions : options.changed!.get(variant)!;
            const session = await own.layer(index);
            const wanted = [
              layerNames.next as string,
              ...(options.observe !== undefined && k.length > 0 ? [layerNames.moeInput, layerNames.moeOutput] : []),
            ];
            const shape = [batch.count, batch.time, model.hiddenSize];
            const feeds = inputs.feeds(layers[variant]!, batch.time, k[variant]);
            return session.run({ ...feeds, [layerNames.hidden]: { type: 'float32', data: hidden, shape } }, wanted);
          });
          const values = floats(result, layerNames.next);
          if (!allFinite(values)) {
            await explainNonFinite(layers[variant], index);
          }
          outputs.set(variant, values);
          if (options.observe !== undefined && k.length > 0) {
            const [input, output] = [floats(result, layerNames.moeInput), floats(result, layerNames.moeOutput)];
            await options.observe({ layer: index, variant, batch: at, input, output });
          }
        }
        for (const [variant, values] of outputs) {
          await store.write(key(variant, at), values);
        }
      }
      sources = next;
      const different = [...new Set(sources)];
      await options.kept?.keepHidden(index + 1, stateLengths(options, different.length), (state) =>
        store.read(stateKey(different, state, batches.length)),
      );
    }
    const final = sources;
    return {
      hidden: (variant, batch) => store.read(key(final[variant]!, batch)),
      dispose: () => store.dispose(),
    };
  } catch (error) {
    await store.dispose();
    throw error;
  }
}

function key(variant: number, batch: number): string {
  return `${variant}-${batch}`;
}

/** Fills the store with embeddings, or with the states an earlier walk kept; returns the layer to go on with. */
async function begin(options: LayerWalkOptions, store: HiddenStore): Promise<number> {
  const { model, batches, variants, kept } = options;
  for (let count = variants.length; kept !== undefined && count > 0; count -= 1) {
    const lengths = stateLengths(options, count);
    const states = await kept.readHidden(lengths);
    const different = states === undefined ? [] : [...new Set(flowOf(options)[states.layer - 1]?.next)];
    if (states !== undefined && states.layer <= model.layers.length && different.length === count) {
      for (const state of lengths.keys()) {
        await store.write(stateKey(different, state, batches.length), await states.read(state));
      }
      options.job.log('info', `An earlier run ended after layer ${states.layer}; it goes on from there.`);
      return states.layer;
    }
  }
  await embedBatches(options, (at, values) => store.write(key(0, at), values));
  return 0;
}

/** Numbers of the hidden states of so many different variants, batch after batch. */
function stateLengths({ model, batches }: LayerWalkOptions, variants: number): number[] {
  const ofBatches = batches.map(({ count, time }) => count * time * model.hiddenSize);
  return Array.from({ length: variants }, () => ofBatches).flat();
}

function stateKey(different: readonly number[], state: number, batches: number): string {
  return key(different[Math.floor(state / batches)]!, state % batches);
}

/** How the variants go through one layer. */
interface LayerFlow {
  /** Active experts of every variant; empty for layers without experts. */
  readonly k: readonly number[];
  readonly layers: readonly DecoderLayerSpec[];
  /** For every variant the first one with the same states after the layer. */
  readonly next: readonly number[];
}

function flowOf({ model, variants, changed }: LayerWalkOptions): LayerFlow[] {
  const flow: LayerFlow[] = [];
  let moeLayer = 0;
  for (const [index, layer] of model.layers.entries()) {
    const k = layer.feedForward.kind === 'moe' ? variants.map((variant) => variant[moeLayer]!) : [];
    moeLayer += layer.feedForward.kind === 'moe' ? 1 : 0;
    const layers = variants.map((_, variant) => changed?.get(variant)?.model.layers[index] ?? layer);
    const sources = flow.at(-1)?.next ?? variants.map(() => 0);
    flow.push({ k, layers, next: variants.map((_, variant) => firstLike(variant, sources, k, layers)) });
  }
  return flow;
}

/** The first variant that had the same hidden states before and runs the same layer with the same k. */
function firstLike(
  variant: number,
  sources: readonly number[],
  k: readonly number[],
  layers: readonly DecoderLayerSpec[],
): number {
  for (let earlier = 0; earlier < variant; earlier += 1) {
    if (sources[earlier] === sources[variant] && k[earlier] === k[variant] && layers[earlier] === layers[variant]) {
      return earlier;
    }
  }
  return variant;
}
