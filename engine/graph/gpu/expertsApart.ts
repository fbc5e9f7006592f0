import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../../families/specification';
import { GraphBuilder, type Value } from '../graphBuilder';
import type { GraphTarget } from '../graphTarget';
import { floatTypes } from './expertRows';
import { expertsOnPieces, piecesByExpert } from './sortedExperts';

/**
 * Names by which experts that run apart from the rest of their graph are connected to it. `input` is the block input
 * `[tokens, hidden]`, `experts` the choice int64 `[tokens, k]`, `gates` `[tokens, k]` only where they multiply the input, `outputs`
 * `[tokens, k, hidden]`.
 */
export const apartNames = {
  input: 'experts_input',
  experts: 'experts_chosen',
  gates: 'experts_gates',
  outputs: 'experts_outputs',
} as const;

/** Names of the inputs and the output of {@link expertGroupGraph}. */
export const groupNames = { rows: 'rows', counts: 'counts', outputs: 'outputs' } as const;

/** Ends a graph where its experts would run. Parameters are those of `expertOutputs`. */
export function endAtExperts(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  experts: Value,
  inputGates: Value | undefined,
): Value {
  graph.output(apartNames.input, x, DataType.FLOAT, [null, block.hiddenSize]);
  graph.output(apartNames.experts, experts, DataType.INT64, [null, null]);
  if (inputGates !== undefined) {
    graph.output(apartNames.gates, inputGates, DataType.FLOAT, [null, null]);
  }
  graph.end();
  return apartNames.input;
}

/** The outputs of experts that ran before. */
export function givenOutputs(graph: GraphBuilder, block: MoeBlockSpec): Value {
  return graph.input(apartNames.outputs, DataType.FLOAT, [null, null, block.hiddenSize]);
}

/**
 * Some experts of a block on their own rows: `rows [n, hidden]` sorted by expert, `counts` int64 `[experts]`, none of them 0 →
 * `outputs [n, hidden]`.
 */
export function expertGroupGraph(block: MoeBlockSpec, target: GraphTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const rows = graph.input(groupNames.rows, DataType.FLOAT, [null, block.hiddenSize]);
  const counts = graph.input(groupNames.counts, DataType.INT64, [block.experts.length]);
  const view = graph.inPrecision(floatTypes[target.precision]);
  const pieces = piecesByExpert(view, view.cast(rows), counts, block.experts.length);
  const outputs = expertsOnPieces(view, pieces, block);
  graph.output(groupNames.outputs, graph.cast(outputs, view), DataType.FLOAT, [null, block.hiddenSize]);
  return graph.build('experts');
}
