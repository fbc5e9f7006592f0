import { layerWithBlock } from '../families/layerWithBlock';
import type { DecoderLayerSpec, ModelSpec, MoeBlockSpec } from '../families/specification';
import { decoderLayerGraph, layerNames, moeBlockOf } from '../graph/decoderLayerGraph';
import { openGraph } from '../runtime/openGraph';
import { floats } from '../runtime/session';
import { embedBatches } from './embedding';
import { HiddenStore, type MachineOptions } from './hiddenStore';
import { step, type JobContext } from './jobContext';
import { LayerInputs } from './layerInputs';
import { allFinite, explainNonFinite } from './nonFinite';
import type { SequenceBatch } from './sequenceBatches';

const layerDeadlineSeconds = 300;

/** Inputs of one MoE block on calibration text: `[tokens, hidden]` per batch, without padding. */
export type BlockInputs = () => AsyncIterable<Float32Array>;

export interface RewritingWalkOptions {
  readonly model: ModelSpec;
  readonly runtime: MachineOptions;
  readonly batches: readonly SequenceBatch[];
  readonly sequences: readonly Int32Array[];
  readonly job: JobContext;
  /** Share of the job's progress this walk covers, [from, to]. */
  readonly progress: readonly [number, number];
  /**
   * Called for every MoE layer in order with what its block is given; the layers after it see the output of the returned block.
   * @param position of the block among the MoE layers
   */
  rewrite(block: MoeBlockSpec, position: number, inputs: BlockInputs): Promise<MoeBlockSpec>;
}

/**
 * Pushes calibration text through the layers one after the other, and lets every MoE block be replaced before its output goes on: what
 * a block is changed by is measured behind the changes before it.
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `runtimeFailed`, `outOfMemory`
 */
export async function rewriteLayers(options: RewritingWalkOptions): Promise<MoeBlockSpec[]> {
  const { model, runtime, batches, sequences, job } = options;
  const [from, to] = options.progress;
  const store = new HiddenStore(runtime.hiddenMemoryBytes);
  const inputs = new LayerInputs();
  const blocks: MoeBlockSpec[] = [];
  const run = async (
    layer: DecoderLayerSpec,
    wanted: string,
    take: (at: number, values: Float32Array) => Promise<void>,
  ) => {
    const session = await openGraph((target) => decoderLayerGraph(layer, model.hiddenSize, target), runtime, {
      batched: [layerNames.hidden],
      block: moeBlockOf(layer),
    });
    try {
      for (const [at, batch] of batches.entries()) {
        const data = await store.read(`hidden-${at}`);
        const shape = [batch.count, batch.time, model.hiddenSize];
        const feeds = {
          ...inputs.feeds(layer, batch.time, undefined),
          [layerNames.hidden]: { type: 'float32', data, shape },
        } as const;
        const results = await step(job, `layer ${layer.index}`, layerDeadlineSeconds, () =>
          session.run(feeds, [wanted]),
        );
        const values = floats(results, wanted);
        if (!allFinite(values)) {
          await explainNonFinite(layer, layer.index);
        }
        await take(at, values);
      }
    } finally {
      await session.dispose();
    }
  };
  try {
    await embedBatches(options, (at, values) => store.write(`hidden-${at}`, values));
    for (const [index, layer] of model.layers.entries()) {
      job.progress(from + ((to - from) * index) / model.layers.length, `Layer ${index + 1} of ${model.layers.length}`);
      let next = layer;
      if (layer.feedForward.kind === 'moe') {
        await run(layer, layerNames.moeInput, (at, values) =>
          store.write(`inputs-${at}`, withoutPadding(values, batches[at]!, sequences, model.hiddenSize)),
        );
        const block = await options.rewrite(layer.feedForward.block, blocks.length, async function* () {
          for (const at of batches.keys()) {
            yield await store.read(`inputs-${at}`);
          }
        });
        blocks.push(block);
        next = layerWithBlock(layer, block);
      }
      await run(next, layerNames.next, (at, values) => store.write(`hidden-${at}`, values));
    }
    return blocks;
  } finally {
    await store.dispose();
  }
}

/** Rows of real tokens, `[tokens, hidden]`. */
function withoutPadding(
  values: Float32Array,
  { count, time, sources }: SequenceBatch,
  sequences: readonly Int32Array[],
  hiddenSize: number,
): Float32Array {
  const lengths = sources.map((source) => sequences[source]!.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total === count * time) {
    return values;
  }
  const result = new Float32Array(total * hiddenSize);
  let filled = 0;
  lengths.forEach((length, row) => {
    const start = row * time * hiddenSize;
    result.set(values.subarray(start, start + length * hiddenSize), filled);
    filled += length * hiddenSize;
  });
  return result;
}
