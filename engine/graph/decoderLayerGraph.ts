import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { DecoderLayerSpec, MoeBlockSpec, TokenMixerSpec } from '../families/specification';
import { groupedQueryAttention, type SequenceValues } from './attention';
import { feedForward } from './feedForward';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { latentAttention } from './latentAttention';
import { moeBlock } from './moeBlock';
import { norm } from './norm';
import { sharedExpert } from './sharedExpert';
import { shortConvolution } from './shortConvolution';

/** Names of the inputs and outputs of a decoder layer graph. */
export const layerNames = {
  hidden: 'hidden',
  activeExperts: 'active_experts',
  cosine: 'cosine',
  sine: 'sine',
  mask: 'mask',
  temperature: 'temperature',
  next: 'next_hidden',
  moeInput: 'moe_in',
  moeOutput: 'moe_out',
} as const;

/** Sequence inputs that a token mixer needs; sessions are only fed what their graph declares. */
export interface SequenceNeeds {
  readonly rotary: boolean;
  readonly mask: boolean;
  readonly temperature: boolean;
}

export function sequenceNeeds(mixer: TokenMixerSpec): SequenceNeeds {
  switch (mixer.kind) {
    case 'grouped-query':
      return { rotary: mixer.rotary !== undefined, mask: true, temperature: mixer.temperature !== undefined };
    case 'latent':
      return { rotary: true, mask: true, temperature: false };
    case 'short-convolution':
      return { rotary: false, mask: false, temperature: false };
  }
}

/**
 * One decoder layer: `hidden [batch, time, hidden]` → `next_hidden` of the same shape. MoE layers take
 * `active_experts` (int64 `[1]`), so one session serves every k; `moe_in` and `moe_out` are the input and output of
 * the MoE block, `[batch · time, hidden]`, computed only when they are asked for.
 */
export function decoderLayerGraph(
  layer: DecoderLayerSpec,
  hiddenSize: number,
  target: GraphTarget = cpuTarget,
): Uint8Array {
  const graph = new GraphBuilder(target);
  const hidden = graph.input(layerNames.hidden, DataType.FLOAT, [null, null, hiddenSize]);
  const shape = graph.node('Shape', [hidden]);
  const flat = graph.node('Reshape', [hidden, graph.integers([-1, hiddenSize])]);
  const sequence = declareSequence(graph, layer.mixer, shape);

  const afterMixer = residual(graph, layer, flat, layer.mixerNorm, hiddenSize, (x) =>
    mixTokens(graph, x, layer.mixer, sequence),
  );
  const next = residual(graph, layer, afterMixer, layer.feedForwardNorm, hiddenSize, (x) => {
    if (layer.feedForward.kind === 'dense') {
      return feedForward(graph, x, layer.feedForward.network, layer.feedForward.activation);
    }
    const k = graph.input(layerNames.activeExperts, DataType.INT64, [1]);
    const output = moeBlock(graph, x, layer.feedForward.block, k);
    graph.output(layerNames.moeInput, x, DataType.FLOAT, [null, hiddenSize]);
    graph.output(layerNames.moeOutput, output, DataType.FLOAT, [null, hiddenSize]);
    const { beside } = layer.feedForward.block;
    return beside === undefined ? output : graph.node('Add', [output, sharedExpert(graph, x, beside)]);
  });
  graph.output(layerNames.next, graph.node('Reshape', [next, shape]), DataType.FLOAT, [null, null, hiddenSize]);
  return graph.build(`decoder_layer_${layer.index}`);
}

/** The block whose experts a layer runs, where it has any. */
export function moeBlockOf({ feedForward }: DecoderLayerSpec): MoeBlockSpec | undefined {
  return feedForward.kind === 'moe' ? feedForward.block : undefined;
}

/** x + multiplier · branch(norm(x)), or x + multiplier · norm(branch(x)) for post-norm families. */
export function residual(
  graph: GraphBuilder,
  layer: DecoderLayerSpec,
  x: Value,
  spec: DecoderLayerSpec['mixerNorm'],
  hiddenSize: number,
  branch: (x: Value) => Value,
): Value {
  const output =
    layer.normPlacement === 'pre' ? branch(norm(graph, x, spec, hiddenSize)) : norm(graph, branch(x), spec, hiddenSize);
  const scaled =
    layer.residualMultiplier === 1 ? output : graph.node('Mul', [output, graph.float(layer.residualMultiplier)]);
  return graph.node('Add', [x, scaled]);
}

/** The token mixer of a layer on its normed input `x [batch · time, hidden]`. */
export function mixTokens(graph: GraphBuilder, x: Value, mixer: TokenMixerSpec, sequence: SequenceValues): Value {
  switch (mixer.kind) {
    case 'grouped-query':
      return groupedQueryAttention(graph, x, mixer, sequence);
    case 'latent':
      return latentAttention(graph, x, mixer, sequence);
    case 'short-convolution':
      return shortConvolution(graph, x, mixer, sequence);
  }
}

/** Declares the position-dependent inputs a mixer needs; `shape` is that of the hidden states `[batch, time, hidden]`. */
export function declareSequence(graph: GraphBuilder, mixer: TokenMixerSpec, shape: Value): SequenceValues {
  const needs = sequenceNeeds(mixer);
  if (needs.rotary) {
    graph.input(layerNames.cosine, DataType.FLOAT, [null, null]);
    graph.input(layerNames.sine, DataType.FLOAT, [null, null]);
  }
  if (needs.mask) {
    graph.input(layerNames.mask, DataType.FLOAT, [null, null]);
  }
  if (needs.temperature) {
    graph.input(layerNames.temperature, DataType.FLOAT, [null, 1]);
  }
  const { cosine, sine, mask, temperature } = layerNames;
  return { shape, cosine, sine, mask, temperature };
}
