import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { moeBlockValues } from './moeBlock';
import { gatesOfEveryK } from './rankGates';

/** Names of the inputs and outputs of the sensitivity graph. */
export const sensitivityNames = { x: 'x', squaredDamage: 'squared_damage', squaredNorm: 'squared_norm' } as const;

/**
 * One forward with all k0 experts, and the damage of every smaller k from it: the chosen experts are ranked by the
 * model's own rule, so the output at k is the sum over the first k ranks with the gates the model would give them.
 *
 * Input `x [tokens, hidden]`; outputs `squared_damage [tokens, k0 - 1]` = ||y_k - y_k0||^2 of every token for
 * k = 1 … k0 - 1 (absent when k0 is 1) and `squared_norm [tokens, 1]` = ||y_k0||^2. Only these numbers leave the graph; sums over
 * tokens are the caller's, so that one run may hold several batches.
 */
export function sensitivityGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const k0 = block.activeExperts;
  const x = graph.input(sensitivityNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const { routing, outputs, shared } = moeBlockValues(graph, x, block, graph.integers([k0]));

  const rows = gatesOfEveryK(graph, block, routing);
  const full = rows[k0 - 1]!;
  const routed = graph.node('MatMul', [full, outputs]);
  const total =
    shared === undefined ? routed : graph.node('Add', [routed, graph.node('Unsqueeze', [shared, graph.integers([1])])]);
  graph.output(sensitivityNames.squaredNorm, sumOfSquares(graph, total), DataType.FLOAT, [null, 1]);

  if (k0 > 1) {
    const reduced = graph.node('Concat', rows.slice(0, -1), { axis: 1 });
    const damage = graph.node('MatMul', [graph.node('Sub', [reduced, full]), outputs]);
    graph.output(sensitivityNames.squaredDamage, sumOfSquares(graph, damage), DataType.FLOAT, [null, k0 - 1]);
  }
  return graph.build('sensitivity');
}

/** `[tokens, j, hidden]` → `[tokens, j]`. */
function sumOfSquares(graph: GraphBuilder, values: Value): Value {
  return graph.node('ReduceSumSquare', [values, graph.integers([2])], { keepdims: 0 });
}
