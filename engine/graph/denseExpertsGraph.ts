import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { expertOutputs } from './experts';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { router } from './router';

/** Names of the input and outputs of the dense graph. */
export const denseNames = { x: 'x', sums: 'sums', gram: 'gram', cosines: 'cosines' } as const;

/** Smallest norm that outputs are divided by: an output of zero has cosine 0 with everything. */
const smallestNorm = 1e-30;

/**
 * All experts on all tokens, chosen or not: `x [tokens, hidden]` → `sums [E, hidden]` of f_e over the tokens, `gram [E, E]` =
 * Σ f_i · f_j and `cosines [E, E]` = Σ cos(f_i, f_j). Where gates multiply expert inputs, every expert gets the gate it would have had.
 */
export function denseExpertsGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const count = block.experts.length;
  const x = graph.input(denseNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const tokens = graph.node('Slice', [graph.node('Shape', [x]), graph.integers([0]), graph.integers([1])]);
  const all = graph.integers(
    Array.from({ length: count }, (_, expert) => expert),
    [1, count],
  );
  const shape = graph.node('Concat', [tokens, graph.integers([count])], { axis: 0 });
  const experts = graph.node('Expand', [all, shape]);
  const outputs = expertOutputs(graph, x, block, experts, inputGates(graph, x, block));

  const sums = graph.node('ReduceSum', [outputs, graph.integers([0])], { keepdims: 0 });
  graph.output(denseNames.sums, sums, DataType.FLOAT, [count, block.hiddenSize]);
  graph.output(denseNames.gram, pairProducts(graph, outputs), DataType.FLOAT, [count, count]);
  const squares = graph.node('ReduceSumSquare', [outputs, graph.integers([2])], { keepdims: 1 });
  const norms = graph.node('Max', [graph.node('Sqrt', [squares]), graph.float(smallestNorm)]);
  const unit = graph.node('Div', [outputs, norms]);
  graph.output(denseNames.cosines, pairProducts(graph, unit), DataType.FLOAT, [count, count]);
  return graph.build('dense_experts');
}

/** `[tokens, E, hidden]` → Σ over tokens of inner products, `[E, E]`. */
function pairProducts(graph: GraphBuilder, outputs: Value): Value {
  const products = graph.node('MatMul', [outputs, graph.node('Transpose', [outputs], { perm: [0, 2, 1] })]);
  return graph.node('ReduceSum', [products, graph.integers([0])], { keepdims: 0 });
}

/** Gates `[tokens, E]` by expert, for families that put them on the input. */
function inputGates(graph: GraphBuilder, x: Value, block: MoeBlockSpec): Value | undefined {
  if (block.router.apply !== 'input') {
    return undefined;
  }
  const routing = router(graph, x, block.router, block.experts.length, graph.integers([block.experts.length]));
  const ranked = routing.gates();
  return graph.node('ScatterElements', [graph.filled(ranked, 0), routing.experts, ranked], { axis: 1 });
}
