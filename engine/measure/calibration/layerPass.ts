import type { DecoderLayerSpec } from '../../families/specification';
import { calibrationGraph, calibrationNames, mixerGraph } from '../../graph/calibrationGraph';
import { decoderLayerGraph, layerNames, moeBlockOf } from '../../graph/decoderLayerGraph';
import { openGraph } from '../../runtime/openGraph';
import { floats, type Feeds, type Results, type RuntimeSession } from '../../runtime/session';
import type { HiddenStore } from '../hiddenStore';
import { step } from '../jobContext';
import type { LayerInputs } from '../layerInputs';
import { allFinite, explainNonFinite } from '../nonFinite';
import type { SequenceBatch } from '../sequenceBatches';
import { gatherRows, realTokens, type BatchToken } from './batchTokens';
import type { CalibrationOptions } from './calibrationPass';

/** Bytes of expert outputs `[tokens, k + 1, hidden]` (float32) of one step: bounds the engine's own memory. */
const outputBytesPerStep = 2 ** 27;

/** Outputs of the calibration graph that are sums over its tokens. */
const summedOverTokens = [
  calibrationNames.logitProducts,
  calibrationNames.probabilityProducts,
  calibrationNames.outputSums,
];

/** Longest time of one step before the supervisor ends the process, in seconds. */
const stepDeadlineSeconds = 300;

/** What all layers of a pass share. */
export interface LayerContext extends CalibrationOptions {
  readonly inputs: LayerInputs;
  /** Hidden states `[count, time, hidden]` under the number of their batch. */
  readonly store: HiddenStore;
  /** Numbers of the sampled tokens, ascending. */
  readonly sampled: Int32Array;
  /** Number of the first token of every sequence. */
  readonly offsets: readonly number[];
  /** Called when a layer is open: the next one may be read from disk while it runs. */
  readonly opened: (layer: DecoderLayerSpec) => void;
}

/** Told how far a layer is, from 0 to 1. */
export type Report = (share: number) => void;

/** What somebody wants to see of the tokens of one step. */
export interface StepObserver {
  /** Outputs of the calibration graph, besides the hidden states. */
  outputs(tokens: readonly BatchToken[]): readonly string[];
  observe(tokens: readonly BatchToken[], results: Results): void;
}

/** Pushes all batches through a layer without experts. */
export async function passDenseLayer(context: LayerContext, layer: DecoderLayerSpec, report: Report): Promise<void> {
  const { model, batches, store, machine } = context;
  const session = await openGraph((target) => decoderLayerGraph(layer, model.hiddenSize, target), machine, {
    batched: [layerNames.hidden],
  });
  context.opened(layer);
  try {
    for (const [at, batch] of batches.entries()) {
      report(at / batches.length);
      await store.write(String(at), await runHidden(context, session, layer, batch, at, layerNames.next));
    }
  } finally {
    await session.dispose();
  }
}

/**
 * Pushes all batches through a MoE layer with k active experts. The same graphs run whether somebody observes or not, so that a
 * continued pass gives the same bits.
 */
export async function passMoeLayer(
  context: LayerContext,
  layer: DecoderLayerSpec,
  k: number,
  report: Report,
  observer?: StepObserver,
): Promise<void> {
  const { model, batches, store, machine, sequences, offsets } = context;
  const width = model.hiddenSize;
  const tokensPerStep = Math.max(1, Math.floor(outputBytesPerStep / (4 * (k + 1) * width)));
  const mixer = await openGraph((target) => mixerGraph(layer, width, target), machine, {
    batched: [layerNames.hidden],
  });
  try {
    const experts = await openGraph((target) => calibrationGraph(layer, width, k, target), machine, {
      batched: [calibrationNames.residual],
      summed: summedOverTokens,
      block: moeBlockOf(layer),
    });
    context.opened(layer);
    try {
      for (const [at, batch] of batches.entries()) {
        report(at / batches.length);
        const stream = await runHidden(context, mixer, layer, batch, at, calibrationNames.residual);
        const rows = realTokens(batch, sequences, offsets);
        for (let start = 0; start < rows.length; start += tokensPerStep) {
          const part = rows.slice(start, start + tokensPerStep);
          const data = gatherRows(stream, part, width);
          const wanted = [calibrationNames.next, ...(observer?.outputs(part) ?? [])];
          const results = await step(context.job, `experts of layer ${layer.index}`, stepDeadlineSeconds, () =>
            experts.run(
              { [calibrationNames.residual]: { type: 'float32', data, shape: [part.length, width] } },
              wanted,
            ),
          );
          const next = floats(results, calibrationNames.next);
          if (!allFinite(next)) {
            await explainNonFinite(layer, layer.index);
          }
          part.forEach(({ row }, position) => {
            stream.set(next.subarray(position * width, (position + 1) * width), row * width);
          });
          observer?.observe(part, results);
        }
        await store.write(String(at), stream);
      }
    } finally {
      await experts.dispose();
    }
  } finally {
    await mixer.dispose();
  }
}

async function runHidden(
  context: LayerContext,
  session: RuntimeSession,
  layer: DecoderLayerSpec,
  batch: SequenceBatch,
  at: number,
  output: string,
): Promise<Float32Array> {
  const data = await context.store.read(String(at));
  const shape = [batch.count, batch.time, context.model.hiddenSize];
  const all = context.inputs.feeds(layer, batch.time, undefined);
  const feeds: Feeds = Object.fromEntries(Object.entries(all).filter(([name]) => session.inputs.includes(name)));
  const results = await step(context.job, `layer ${layer.index}`, stepDeadlineSeconds, () =>
    session.run({ ...feeds, [layerNames.hidden]: { type: 'float32', data, shape } }, [output]),
  );
  const values = floats(results, output);
  if (!allFinite(values)) {
    await explainNonFinite(layer, layer.index);
  }
  return values;
}
