import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../../families/specification';
import { feedForward } from '../feedForward';
import type { GraphBuilder, Value } from '../graphBuilder';
import { bySlot, floatTypes, rangeTo, rowsOfSlots, slotsOf } from './expertRows';

/**
 * Slots sorted by expert inside the graph, then one dense network per expert on its own rows: no control flow, and one
 * hand-over to the processor for the row counts. Every expert gets one row more than it was chosen for, since empty
 * products are refused by some providers. Parameters and result are those of `expertOutputs`.
 */
export function sortedExperts(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  experts: Value,
  inputGates: Value | undefined,
): Value {
  const expertCount = block.experts.length;
  const { expert, count, k, scalarK } = slotsOf(graph, experts);
  const everyExpert = graph.integers(Array.from({ length: expertCount }, (_, at) => at));
  const all = graph.node('Concat', [expert, everyExpert], { axis: 0 });
  const rows = graph.node('Size', [all]);
  const range = rangeTo(graph, rows);
  // Keys that are all different: by expert, then by slot.
  const key = graph.node('Add', [graph.node('Mul', [all, rows]), range]);
  const [, order] = graph.split(
    'TopK',
    [key, graph.node('Reshape', [rows, graph.integers([1])])],
    { axis: 0, largest: 0, sorted: 1 },
    2,
  ) as [Value, Value];
  const view = graph.inPrecision(floatTypes[graph.target.precision]);
  const slots = graph.node('Mod', [order, count]);
  const inputs = rowsOfSlots(view, x, slots, scalarK, inputGates);
  const pieces = piecesByExpert(view, inputs, rowCounts(graph, all, everyExpert), expertCount);
  const sorted = expertsOnPieces(view, pieces, block);
  const rowOfSlot = graph.node('ScatterElements', [range, order, range], { axis: 0 });
  const chosen = graph.node('Slice', [
    rowOfSlot,
    graph.integers([0]),
    graph.node('Reshape', [count, graph.integers([1])]),
  ]);
  return graph.cast(bySlot(view, view.node('Gather', [sorted, chosen], { axis: 0 }), block, k), view);
}

/** Rows of every expert, int64 `[experts]`. Counts below 2^24 are exact in float32. */
function rowCounts(graph: GraphBuilder, experts: Value, everyExpert: Value): Value {
  const hits = graph.node('Equal', [graph.node('Unsqueeze', [experts, graph.integers([1])]), everyExpert]);
  const ones = graph.node('Cast', [hits], { to: DataType.FLOAT });
  const sums = graph.node('ReduceSum', [ones, graph.integers([0])], { keepdims: 0 });
  return graph.node('Cast', [sums], { to: DataType.INT64 });
}

/** Every expert on its own rows, together again `[rows, hidden]`. */
export function expertsOnPieces(graph: GraphBuilder, pieces: readonly Value[], block: MoeBlockSpec): Value {
  const outputs = pieces.map((piece, at) => feedForward(graph, piece, block.experts[at]!, block.activation));
  return graph.node('Concat', outputs, { axis: 0 });
}

/** Consecutive rows, as many for each expert as `counts` says. */
export function piecesByExpert(graph: GraphBuilder, rows: Value, counts: Value, expertCount: number): Value[] {
  if (expertCount <= graph.target.splitOutputs) {
    return graph.split('Split', [rows, counts], { axis: 0 }, expertCount);
  }
  const ends = graph.node('CumSum', [counts, graph.integer(0)]);
  const starts = graph.node('Sub', [ends, counts]);
  const entry = (values: Value, at: number) =>
    graph.node('Slice', [values, graph.integers([at]), graph.integers([at + 1])]);
  return Array.from({ length: expertCount }, (_, at) =>
    graph.node('Slice', [rows, entry(starts, at), entry(ends, at), graph.integers([0])]),
  );
}
