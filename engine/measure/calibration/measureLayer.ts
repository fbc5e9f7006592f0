import type { DecoderLayerSpec, MoeBlockSpec } from '../../families/specification';
import { calibrationNames } from '../../graph/calibrationGraph';
import type { LayerStatistics } from '../../methods/statistics';
import { floats, integers, type Results } from '../../runtime/session';
import { countTokens, tagsOf, type BatchToken } from './batchTokens';
import { roundToBfloat16 } from './bfloat16';
import type { MeasuredLayer } from './calibrationPass';
import { measureDenseOutputs } from './denseOutputs';
import { LayerAccumulator, totalSums, type CalibrationRows } from './layerAccumulator';
import { passMoeLayer, type LayerContext, type Report } from './layerPass';
import { TraceCollector } from './routingTrace';
import { keepsTaskPairs } from './taskPairs';

/** Outputs of the calibration graph that sums are made of: all but the hidden states and the inputs of the block. */
const summedOutputs = Object.values(calibrationNames).filter(
  (name) => ![calibrationNames.residual, calibrationNames.next, calibrationNames.input].some((other) => other === name),
);

/** Pushes all batches through a MoE layer with k active experts and sums up what happens there. */
export async function measureLayer(
  context: LayerContext,
  layer: DecoderLayerSpec,
  block: MoeBlockSpec,
  k: number,
  report: Report,
): Promise<MeasuredLayer> {
  const { sampled, sequences, offsets } = context;
  const width = block.hiddenSize;
  const shape = { experts: block.experts.length, activeExperts: k, hiddenSize: width };
  const sums = new LayerAccumulator(
    shape,
    context.tags,
    context.taskPairs && keepsTaskPairs(context.tags.length, shape.experts),
  );
  const trace = context.trace ? new TraceCollector(countTokens(sequences), k) : undefined;
  const inputs = new Float32Array(sampled.length * width);
  const places = new Map(Array.from(sampled, (token, place) => [token, place]));
  const isSampled = ({ number }: BatchToken) => places.has(number);

  await passMoeLayer(context, layer, k, report, {
    outputs: (tokens) => [...summedOutputs, ...(tokens.some(isSampled) ? [calibrationNames.input] : [])],
    observe: (tokens, results) => {
      const rows = calibrationRows(results, tokens);
      sums.add(rows);
      trace?.add(tokens, rows);
      tokens.forEach((token, position) => {
        if (isSampled(token)) {
          const from = floats(results, calibrationNames.input);
          const place = places.get(token.number)!;
          inputs.set(from.subarray(position * width, (position + 1) * width), place * width);
        }
      });
    },
  });

  roundToBfloat16(inputs);
  const byTag = sums.byTag();
  const statistics: LayerStatistics = {
    index: layer.index,
    ...shape,
    total: totalSums(byTag, shape.experts),
    byTag,
    largestOutputs: sums.largestOutputs,
    outputSums: Float32Array.from(sums.outputSums),
    ...sums.pairs,
    pairsByTag: sums.pairsByTag,
    logitProducts: sums.logitProducts,
    probabilityProducts: sums.probabilityProducts,
    topMasses: sums.topMasses,
    outputSquares: sums.outputSquares,
    sample: { inputs, tokens: sampled.length, tags: tagsOf(sampled, sequences, offsets) },
    dense: context.dense ? await measureDenseOutputs(block, inputs, context.machine, context.job) : undefined,
  };
  return { statistics, trace: trace?.trace };
}

function calibrationRows(results: Results, tokens: readonly BatchToken[]): CalibrationRows {
  return {
    tokens: tokens.length,
    tags: Uint16Array.from(tokens, ({ tag }) => tag),
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
