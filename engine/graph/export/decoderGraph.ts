import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { DecoderLayerSpec, ModelSpec, MoeBlockSpec, NormSpec } from '../../families/specification';
import { feedForward } from '../feedForward';
import { GraphBuilder, type Value } from '../graphBuilder';
import { cpuTarget, type GraphTarget } from '../graphTarget';
import { logits } from '../modelEndsGraph';
import { routedBlock } from '../moeBlock';
import { norm } from '../norm';
import { sharedExpert } from '../sharedExpert';
import { cachedAttention } from './cachedAttention';
import { cachedLatentAttention } from './cachedLatentAttention';
import { cachedShortConvolution } from './cachedShortConvolution';
import { exportedBlock, type ExportedExpertForm } from './exportedBlock';
import { decoderNames, SequenceValues } from './sequenceValues';
import type { StackedTensors } from './stackedTensors';

/** Exported models multiply with codes as they are. */
export const exportTarget: GraphTarget = { ...cpuTarget, quantizedProducts: 'operator' };

export interface DecoderGraphOptions {
  /** Active experts, one number per MoE layer in order. */
  readonly activeExperts: readonly number[];
  /** Collects the tensors that no file has. */
  readonly stacks: StackedTensors;
  /**
   * Makes the routing of every MoE layer an output. Experts are then branches of plain operators, whose weights are read from the
   * files of the checkpoint where a token needs them: nothing has to be written first.
   */
  readonly showRouting?: boolean;
}

/** A whole decoder as bytes of an ONNX model. */
export interface DecoderGraph {
  readonly model: Uint8Array;
  /** One per MoE layer in order. */
  readonly expertForms: readonly ExportedExpertForm[];
}

/**
 * The whole decoder with a key/value cache: `input_ids`, `attention_mask`, `position_ids` and the cache of every layer in,
 * `logits [batch, time, vocabulary]` and the longer cache out. Active experts are constants of each layer.
 */
export function decoderGraph(
  model: ModelSpec,
  { activeExperts, stacks, showRouting = false }: DecoderGraphOptions,
): DecoderGraph {
  const graph = new GraphBuilder(exportTarget);
  const { hiddenSize } = model;
  for (const name of [decoderNames.ids, decoderNames.mask, decoderNames.positions]) {
    graph.input(name, DataType.INT64, [null, null]);
  }
  const sequence = new SequenceValues(graph);
  const expertForms: ExportedExpertForm[] = [];
  let x = embed(graph, model);
  for (const layer of model.layers) {
    const afterMixer = residual(graph, layer, x, layer.mixerNorm, hiddenSize, (input) =>
      mixTokens(graph, input, layer, sequence),
    );
    x = residual(graph, layer, afterMixer, layer.feedForwardNorm, hiddenSize, (input) => {
      if (layer.feedForward.kind === 'dense') {
        return feedForward(graph, input, layer.feedForward.network, layer.feedForward.activation);
      }
      const { block } = layer.feedForward;
      const k = activeExperts[expertForms.length]!;
      const { output, form } = showRouting
        ? shownBlock(graph, input, block, k, layer.index)
        : exportedBlock(graph, input, block, k, { stacks, outer: graph });
      expertForms.push(form);
      return block.beside === undefined
        ? output
        : graph.node('Add', [output, sharedExpert(graph, input, block.beside)]);
    });
  }
  const flat = logits(graph, x, model);
  const shape = graph.node('Concat', [sequence.batchTime, graph.integers([model.vocabularySize])], { axis: 0 });
  graph.node('Reshape', [flat, shape], {}, { outputs: [decoderNames.logits] });
  graph.declareOutput(decoderNames.logits, DataType.FLOAT, [null, null, model.vocabularySize]);
  return { model: graph.build('decoder'), expertForms };
}

/** A MoE block as branches, with its routing as outputs of the graph. */
function shownBlock(graph: GraphBuilder, x: Value, block: MoeBlockSpec, k: number, layer: number) {
  const { output, routing } = routedBlock(graph, x, block, graph.integers([k]));
  graph.output(decoderNames.routedExperts(layer), routing.experts, DataType.INT64, [null, null]);
  graph.output(decoderNames.routedGates(layer), routing.gates(), DataType.FLOAT, [null, null]);
  return { output, form: 'branches' as const };
}

/** Token embeddings `[batch · time, hidden]`. */
function embed(graph: GraphBuilder, model: ModelSpec): Value {
  const ids = graph.node('Reshape', [decoderNames.ids, graph.integers([-1])]);
  const rows = graph.node('Gather', [graph.stored(model.embedding), ids], { axis: 0 });
  const cast = model.embedding.dtype === 'F32' ? rows : graph.node('Cast', [rows], { to: DataType.FLOAT });
  return model.embeddingMultiplier === 1 ? cast : graph.node('Mul', [cast, graph.float(model.embeddingMultiplier)]);
}

function mixTokens(graph: GraphBuilder, x: Value, { index, mixer }: DecoderLayerSpec, sequence: SequenceValues): Value {
  switch (mixer.kind) {
    case 'grouped-query':
      return cachedAttention(graph, x, index, mixer, sequence);
    case 'latent':
      return cachedLatentAttention(graph, x, index, mixer, sequence);
    case 'short-convolution':
      return cachedShortConvolution(graph, x, index, mixer, sequence);
  }
}

/** x + multiplier · branch(norm(x)), or x + multiplier · norm(branch(x)) for post-norm families. */
function residual(
  graph: GraphBuilder,
  layer: DecoderLayerSpec,
  x: Value,
  spec: NormSpec,
  hiddenSize: number,
  branch: (x: Value) => Value,
): Value {
  const output =
    layer.normPlacement === 'pre' ? branch(norm(graph, x, spec, hiddenSize)) : norm(graph, branch(x), spec, hiddenSize);
  const scaled =
    layer.residualMultiplier === 1 ? output : graph.node('Mul', [output, graph.float(layer.residualMultiplier)]);
  return graph.node('Add', [x, scaled]);
}
