import type { LayerStatistics } from '../../methods/statistics';
import type { DecoderLayerSpec, MoeBlockSpec } from '../../families/specification';
import { calibrationGraph, calibrationNames, mixerGraph } from '../../graph/calibrationGraph';
import { decoderLayerGraph, layerNames } from '../../graph/decoderLayerGraph';
import { floats, integers, openSession, type Feeds, type Results, type RuntimeSession } from '../../runtime/session';
import type { HiddenStore } from '../hiddenStore';
import { step } from '../jobContext';
import type { LayerInputs } from '../layerInputs';
import { allFinite, explainNonFinite } from '../nonFinite';
import type { SequenceBatch } from '../sequenceBatches';
import { gatherRows, realTokens, tagsOf, type BatchToken } from './batchTokens';
import { roundToBfloat16 } from './bfloat16';
import type { CalibrationOptions, MeasuredLayer } from './calibrationPass';
import { measureDenseOutputs } from './denseOutputs';
import { LayerAccumulator, totalSums, type CalibrationRows } from './layerAccumulator';
import { TraceCollector } from './routingTrace';

/** Bytes of expert outputs `[tokens, k + 1, hidden]` (float32) of one step: bounds the engine's own memory. */
const outputBytesPerStep = 2 ** 27;

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
}

type Report = (share: number) => void;

/** Pushes all batches through a layer that nothing is measured of. */
export async function passLayer(
  context: LayerContext,
  layer: DecoderLayerSpec,
  k: number | undefined,
  report: Report,
): Promise<void> {
  const { model, batches, store, machine } = context;
  const session = await openSession(decoderLayerGraph(layer, model.hiddenSize), machine);
  try {
    for (const [at, batch] of batches.entries()) {
      report(at / batches.length);
      const feeds = context.inputs.feeds(layer, batch.time, k);
      const values = await runHidden(context, session, layer, batch, at, feeds, layerNames.next);
      await store.write(String(at), values);
    }
  } finally {
    await session.dispose();
  }
}

/** Pushes all batches through a MoE layer with k active experts and sums up what happens there. */
export async function measureLayer(
  context: LayerContext,
  layer: DecoderLayerSpec,
  block: MoeBlockSpec,
  k: number,
  report: Report,
): Promise<MeasuredLayer> {
  const { model, batches, store, machine, tags, sampled, sequences, offsets } = context;
  const width = model.hiddenSize;
  const shape = { experts: block.experts.length, activeExperts: k, hiddenSize: width };
  const sums = new LayerAccumulator(shape, tags);
  const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  const trace = context.trace ? new TraceCollector(tokens, k) : undefined;
  const sampledInputs = new Float32Array(sampled.length * width);
  const places = new Map(Array.from(sampled, (token, place) => [token, place]));
  const tokensPerStep = Math.max(1, Math.floor(outputBytesPerStep / (4 * (k + 1) * width)));

  const mixer = await openSession(mixerGraph(layer, width), machine);
  try {
    const experts = await openSession(calibrationGraph(layer, width, k), machine);
    try {
      for (const [at, batch] of batches.entries()) {
        report(at / batches.length);
        const feeds = Object.fromEntries(
          Object.entries(context.inputs.feeds(layer, batch.time, k)).filter(([name]) => mixer.inputs.includes(name)),
        );
        const stream = await runHidden(context, mixer, layer, batch, at, feeds, calibrationNames.residual);
        const rows = realTokens(batch, sequences, offsets);
        for (let start = 0; start < rows.length; start += tokensPerStep) {
          const part = rows.slice(start, start + tokensPerStep);
          const wanted = outputNames(part.some(({ number }) => places.has(number)));
          const residual = gatherRows(stream, part, width);
          const results = await step(context.job, `experts of layer ${layer.index}`, stepDeadlineSeconds, () =>
            experts.run(
              { [calibrationNames.residual]: { type: 'float32', data: residual, shape: [part.length, width] } },
              wanted,
            ),
          );
          const next = floats(results, calibrationNames.next);
          if (!allFinite(next)) {
            await explainNonFinite(layer, layer.index);
          }
          const observed = calibrationRows(results, part);
          sums.add(observed);
          trace?.add(part, observed);
          part.forEach(({ row, number }, position) => {
            stream.set(next.subarray(position * width, (position + 1) * width), row * width);
            const place = places.get(number);
            if (place !== undefined) {
              const inputs = floats(results, calibrationNames.input);
              sampledInputs.set(inputs.subarray(position * width, (position + 1) * width), place * width);
            }
          });
        }
        await store.write(String(at), stream);
      }
    } finally {
      await experts.dispose();
    }
  } finally {
    await mixer.dispose();
  }
  roundToBfloat16(sampledInputs);
  const dense =
    context.dense && sampled.length > 0
      ? await measureDenseOutputs(block, sampledInputs, machine, context.job)
      : undefined;
  const byTag = sums.byTag();
  const statistics: LayerStatistics = {
    index: layer.index,
    ...shape,
    total: totalSums(byTag, shape.experts),
    byTag,
    largestOutputs: sums.largestOutputs,
    outputSums: Float32Array.from(sums.outputSums),
    coactivation: sums.coactivation,
    contributionProducts: sums.contributionProducts,
    contributionGram: sums.contributionGram,
    logitProducts: sums.logitProducts,
    probabilityProducts: sums.probabilityProducts,
    topMasses: sums.topMasses,
    outputSquares: sums.outputSquares,
    sample: { inputs: sampledInputs, tokens: sampled.length, tags: tagsOf(sampled, sequences, offsets) },
    dense,
  };
  return { statistics, trace: trace?.trace };
}

async function runHidden(
  context: LayerContext,
  session: RuntimeSession,
  layer: DecoderLayerSpec,
  batch: SequenceBatch,
  at: number,
  feeds: Feeds,
  output: string,
): Promise<Float32Array> {
  const data = await context.store.read(String(at));
  const shape = [batch.count, batch.time, context.model.hiddenSize];
  const results = await step(context.job, `layer ${layer.index}`, stepDeadlineSeconds, () =>
    session.run({ ...feeds, [layerNames.hidden]: { type: 'float32', data, shape } }, [output]),
  );
  const values = floats(results, output);
  if (!allFinite(values)) {
    await explainNonFinite(layer, layer.index);
  }
  return values;
}

/** Outputs to ask for: block inputs leave the graph only where some of them are sampled. */
function outputNames(withInputs: boolean): string[] {
  return Object.values(calibrationNames).filter(
    (name) => name !== calibrationNames.residual && (withInputs || name !== calibrationNames.input),
  );
}

function calibrationRows(results: Results, rows: readonly BatchToken[]): CalibrationRows {
  return {
    tokens: rows.length,
    tags: Uint16Array.from(rows, ({ tag }) => tag),
    experts: integers(results, calibrationNames.experts),
    gates: floats(results, calibrationNames.gates),
    logits: floats(results, calibrationNames.logits),
    probabilities: floats(results, calibrationNames.probabilities),
    logitProducts: floats(results, calibrationNames.logitProducts),
    probabilityProducts: floats(results, calibrationNames.probabilityProducts),
    outputSquares: floats(results, calibrationNames.outputSquares),
    largest: floats(results, calibrationNames.largest),
    gram: floats(results, calibrationNames.gram),
    replacement: floats(results, calibrationNames.replacement),
    removal: floats(results, calibrationNames.removal),
    outputSums: floats(results, calibrationNames.outputSums),
    blockSquares: floats(results, calibrationNames.blockSquares),
    shift: floats(results, calibrationNames.shift),
  };
}
