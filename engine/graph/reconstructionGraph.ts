import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { expertOutputs } from './experts';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { router } from './router';

/** Names of the inputs and outputs of the graphs below. */
export const reconstructionNames = {
  x: 'x',
  experts: 'experts',
  gates: 'gates',
  outputs: 'outputs',
} as const;

/**
 * All experts on all tokens, chosen or not: `x [tokens, hidden]` → `outputs [tokens, experts, hidden]` before gating and, parallel to
 * them, which expert each row is of, `experts` int64 `[tokens, experts]`. Where the gate multiplies the input of an expert, it is in the
 * outputs.
 */
export function allOutputsGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const x = graph.input(reconstructionNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const count = block.experts.length;
  const onInput = block.router.apply === 'input';
  const routing = onInput ? router(graph, x, block.router, count, graph.integers([count])) : undefined;
  const experts = routing?.experts ?? everyExpert(graph, x, count);
  graph.output(reconstructionNames.outputs, expertOutputs(graph, x, block, experts, routing?.gates()), DataType.FLOAT, [
    null,
    count,
    block.hiddenSize,
  ]);
  graph.output(reconstructionNames.experts, experts, DataType.INT64, [null, count]);
  return graph.build('all_outputs');
}

/** The router alone: `x [tokens, hidden]` → chosen `experts` int64 `[tokens, k]`, best first, and their `gates [tokens, k]`. */
export function routingGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const x = graph.input(reconstructionNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const k = graph.integers([block.activeExperts]);
  const routing = router(graph, x, block.router, block.experts.length, k);
  graph.output(reconstructionNames.experts, routing.experts, DataType.INT64, [null, block.activeExperts]);
  graph.output(reconstructionNames.gates, routing.gates(), DataType.FLOAT, [null, block.activeExperts]);
  return graph.build('routing');
}

/** `[tokens, experts]` with 0, 1, 2, … in every row. */
function everyExpert(graph: GraphBuilder, x: Value, count: number): Value {
  const tokens = graph.node('Slice', [graph.node('Shape', [x]), graph.integers([0]), graph.integers([1])]);
  const shape = graph.node('Concat', [tokens, graph.integers([count])], { axis: 0 });
  return graph.node('Expand', [graph.integers(Array.from({ length: count }, (_, expert) => expert)), shape]);
}
