import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { DecoderLayerSpec, MoeBlockSpec } from '../families/specification';
import { declareSequence, layerNames, mixTokens, residual } from './decoderLayerGraph';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { moeBlockValues } from './moeBlock';
import { removalChanges } from './removalChanges';
import { routerProbabilities } from './routerProbabilities';
import { sharedExpert } from './sharedExpert';

/** Names of the inputs and outputs of the calibration graph. */
export const calibrationNames = {
  residual: 'residual',
  next: 'next_residual',
  input: 'moe_in',
  experts: 'experts',
  gates: 'gates',
  logits: 'logits',
  probabilities: 'probabilities',
  logitProducts: 'logit_products',
  probabilityProducts: 'probability_products',
  outputSquares: 'output_squares',
  largest: 'largest',
  gram: 'gram',
  replacement: 'replacement',
  removal: 'removal',
  outputSums: 'output_sums',
  blockSquares: 'block_squares',
  shift: 'shift',
} as const;

/**
 * The first half of a decoder layer: `hidden [batch, time, hidden]` → `residual` of the same shape, the residual stream between
 * token mixer and feed-forward.
 */
export function mixerGraph(layer: DecoderLayerSpec, hiddenSize: number, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const hidden = graph.input(layerNames.hidden, DataType.FLOAT, [null, null, hiddenSize]);
  const shape = graph.node('Shape', [hidden]);
  const flat = graph.node('Reshape', [hidden, graph.integers([-1, hiddenSize])]);
  const sequence = declareSequence(graph, layer.mixer, shape);
  const after = residual(graph, layer, flat, layer.mixerNorm, hiddenSize, (x) =>
    mixTokens(graph, x, layer.mixer, sequence),
  );
  const shaped = graph.node('Reshape', [after, shape]);
  graph.output(calibrationNames.residual, shaped, DataType.FLOAT, [null, null, hiddenSize]);
  return graph.build(`mixer_${layer.index}`);
}

/** Experts a token can choose from: those of the groups that a group-limited router keeps. */
export function routerCandidates({ experts, router }: MoeBlockSpec): number {
  return router.groups === undefined ? experts.length : (experts.length / router.groups.count) * router.groups.kept;
}

/**
 * The second half of a MoE layer, with everything that calibration sums up. Input `residual [tokens, hidden]`, the residual stream
 * before the feed-forward. With k active experts, E experts and r = k + 1 where the router has one more candidate, else k:
 *
 * | output | shape | |
 * |---|---|---|
 * | `next_residual` | `[tokens, hidden]` | the stream after the layer |
 * | `moe_in` | `[tokens, hidden]` | input of the block, after the norm |
 * | `experts` | int64 `[tokens, r]` | ranked |
 * | `gates` | `[tokens, k]` | |
 * | `logits`, `probabilities` | `[tokens, E]` | probabilities as {@link routerProbabilities} |
 * | `logit_products`, `probability_products` | `[E, E]` | sums over tokens of products |
 * | `output_squares`, `largest` | `[tokens, k]` | ‖f‖² and the largest |entry| of un-gated outputs |
 * | `gram` | `[tokens, k, k]` | inner products of contributions V = g f |
 * | `replacement`, `removal` | `[tokens, k]` | squared change of the routed sum without the expert, with and without a refill |
 * | `output_sums` | `[E, hidden]` | un-gated outputs summed over the tokens that chose the expert |
 * | `block_squares` | `[tokens, 1]` | ‖y‖² of the whole block |
 * | `shift` | `[tokens, 1]` | 1 - cos of the stream before and after |
 *
 * Outputs are computed only when they are asked for.
 */
export function calibrationGraph(
  layer: DecoderLayerSpec,
  hiddenSize: number,
  k: number,
  target: GraphTarget = cpuTarget,
): Uint8Array {
  if (layer.feedForward.kind !== 'moe') {
    throw new RangeError(`layer ${layer.index} has no experts`);
  }
  const { block } = layer.feedForward;
  const graph = new GraphBuilder(target);
  const before = graph.input(calibrationNames.residual, DataType.FLOAT, [null, hiddenSize]);
  const after = residual(graph, layer, before, layer.feedForwardNorm, hiddenSize, (x) =>
    observedBlock(graph, x, block, k),
  );
  graph.output(calibrationNames.next, after, DataType.FLOAT, [null, hiddenSize]);
  graph.output(calibrationNames.shift, cosineDistance(graph, before, after), DataType.FLOAT, [null, 1]);
  return graph.build(`calibration_${layer.index}`);
}

/** The block's output as the decoder layer adds it; everything that is observed becomes an output of the graph. */
function observedBlock(graph: GraphBuilder, x: Value, block: MoeBlockSpec, k: number): Value {
  const expertCount = block.experts.length;
  const refill = routerCandidates(block) > k;
  const { routing, outputs, shared } = moeBlockValues(graph, x, block, graph.integers([k]), refill);
  const float = (name: string, value: Value, shape: readonly (number | null)[]) =>
    graph.output(name, value, DataType.FLOAT, shape);
  const chosen = (values: Value) =>
    refill ? graph.node('Slice', [values, graph.integers([0]), graph.integers([k]), graph.integers([1])]) : values;

  const gates = routing.gates(k);
  const weights = block.router.apply === 'input' ? graph.filled(gates, 1) : gates;
  const own = chosen(outputs);
  const contributions = graph.node('Mul', [own, graph.node('Unsqueeze', [weights, graph.integers([2])])]);
  float(calibrationNames.input, x, [null, block.hiddenSize]);
  graph.output(calibrationNames.experts, routing.experts, DataType.INT64, [null, refill ? k + 1 : k]);
  float(calibrationNames.gates, gates, [null, k]);

  const probabilities = routerProbabilities(graph, routing, block.router);
  float(calibrationNames.logits, routing.logits, [null, expertCount]);
  float(calibrationNames.probabilities, probabilities, [null, expertCount]);
  float(calibrationNames.logitProducts, productsOverTokens(graph, routing.logits), [expertCount, expertCount]);
  float(calibrationNames.probabilityProducts, productsOverTokens(graph, probabilities), [expertCount, expertCount]);

  float(calibrationNames.outputSquares, squares(graph, own), [null, k]);
  const largest = graph.node('ReduceMax', [graph.node('Abs', [own]), graph.integers([2])], { keepdims: 0 });
  float(calibrationNames.largest, largest, [null, k]);
  const turned = graph.node('Transpose', [contributions], { perm: [0, 2, 1] });
  float(calibrationNames.gram, graph.node('MatMul', [contributions, turned]), [null, k, k]);
  const changes = removalChanges(graph, block, routing, k, refill);
  float(calibrationNames.replacement, squares(graph, graph.node('MatMul', [changes.replaced, outputs])), [null, k]);
  float(calibrationNames.removal, squares(graph, graph.node('MatMul', [changes.removed, outputs])), [null, k]);
  float(calibrationNames.outputSums, sumsByExpert(graph, own, chosen(routing.experts), block), [
    expertCount,
    block.hiddenSize,
  ]);

  const routed = graph.node('ReduceSum', [contributions, graph.integers([1])], { keepdims: 0 });
  const output = shared === undefined ? routed : graph.node('Add', [routed, shared]);
  const blockSquares = graph.node('ReduceSumSquare', [output, graph.integers([1])], { keepdims: 1 });
  float(calibrationNames.blockSquares, blockSquares, [null, 1]);
  return block.beside === undefined ? output : graph.node('Add', [output, sharedExpert(graph, x, block.beside)]);
}

/** `[tokens, experts]` → `[experts, experts]`. */
function productsOverTokens(graph: GraphBuilder, values: Value): Value {
  return graph.node('Gemm', [values, values], { transA: 1 });
}

/** `[tokens, ranks, hidden]` → `[tokens, ranks]`. */
function squares(graph: GraphBuilder, values: Value): Value {
  return graph.node('ReduceSumSquare', [values, graph.integers([2])], { keepdims: 0 });
}

/** Outputs `[tokens, k, hidden]` added up per expert: a product with the one-hot choice, which no thread order changes. */
function sumsByExpert(graph: GraphBuilder, outputs: Value, experts: Value, block: MoeBlockSpec): Value {
  const flat = graph.node('Reshape', [experts, graph.integers([-1])]);
  const depth = graph.integer(block.experts.length);
  const oneHot = graph.node('OneHot', [flat, depth, graph.floats([0, 1])]);
  const rows = graph.node('Reshape', [outputs, graph.integers([-1, block.hiddenSize])]);
  return graph.node('Gemm', [oneHot, rows], { transA: 1 });
}

/** 1 - cos of two `[tokens, hidden]` as `[tokens, 1]`, in double precision: streams differ little. */
function cosineDistance(graph: GraphBuilder, left: Value, right: Value): Value {
  const wide = (value: Value) => graph.node('Cast', [value], { to: DataType.DOUBLE });
  const narrow = (value: Value) => graph.node('Cast', [value], { to: DataType.FLOAT });
  const [a, b] = [wide(left), wide(right)];
  const dot = (x: Value, y: Value) =>
    graph.node('ReduceSum', [graph.node('Mul', [x, y]), graph.integers([1])], { keepdims: 1 });
  const norms = graph.node('Sqrt', [graph.node('Mul', [dot(a, a), dot(b, b)])]);
  const smallest = graph.node('Cast', [graph.float(1e-30)], { to: DataType.DOUBLE });
  const one = graph.node('Cast', [graph.float(1)], { to: DataType.DOUBLE });
  const cosine = graph.node('Div', [dot(a, b), graph.node('Max', [norms, smallest])]);
  return narrow(graph.node('Sub', [one, cosine]));
}
