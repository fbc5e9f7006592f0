import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { GraphBuilder } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { moeBlockValues } from './moeBlock';
import { gatesOfEveryK } from './rankGates';

/** Names of the inputs and outputs of the gate scale graph. */
export const gateScaleNames = { x: 'x', product: 'product', square: 'square' } as const;

/**
 * What the best factor on the routed output needs: for every k from 1 to k0, `product [tokens, k0]` = ⟨r_k, r_k0⟩ and
 * `square [tokens, k0]` = ‖r_k‖², where r_k is the sum of the routed experts at k, without shared experts.
 * Input `x [tokens, hidden]`.
 */
export function gateScaleGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const k0 = block.activeExperts;
  const x = graph.input(gateScaleNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const { routing, outputs } = moeBlockValues(graph, x, block, graph.integers([k0]));
  const rows = gatesOfEveryK(graph, block, routing);
  const routed = graph.node('MatMul', [graph.node('Concat', rows, { axis: 1 }), outputs]);
  const full = graph.node('Slice', [routed, graph.integers([k0 - 1]), graph.integers([k0]), graph.integers([1])]);
  const product = graph.node('ReduceSum', [graph.node('Mul', [routed, full]), graph.integers([2])], { keepdims: 0 });
  graph.output(gateScaleNames.product, product, DataType.FLOAT, [null, k0]);
  const square = graph.node('ReduceSumSquare', [routed, graph.integers([2])], { keepdims: 0 });
  graph.output(gateScaleNames.square, square, DataType.FLOAT, [null, k0]);
  return graph.build('gate-scale');
}
