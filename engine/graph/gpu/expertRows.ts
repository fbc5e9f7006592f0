import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../../families/specification';
import type { FloatType, GraphBuilder, Value } from '../graphBuilder';

/** Element types of the expert precisions. */
export const floatTypes: Readonly<Record<GraphBuilder['target']['precision'], FloatType>> = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  bfloat16: DataType.BFLOAT16,
};

/** The slots of a batch: one for every token and rank, token after token. */
export interface Slots {
  /** Chosen expert of every slot, int64 `[slots]`. */
  readonly expert: Value;
  /** Number of slots, int64 scalar. */
  readonly count: Value;
  /** Active experts per token, int64 `[1]` and scalar. */
  readonly k: Value;
  readonly scalarK: Value;
}

export function slotsOf(graph: GraphBuilder, experts: Value): Slots {
  const expert = graph.node('Reshape', [experts, graph.integers([-1])]);
  const k = graph.node('Slice', [graph.node('Shape', [experts]), graph.integers([1]), graph.integers([2])]);
  return { expert, count: graph.node('Size', [expert]), k, scalarK: graph.node('Squeeze', [k]) };
}

/** 0 … count - 1, int64. */
export function rangeTo(graph: GraphBuilder, count: Value): Value {
  return graph.node('Range', [graph.integer(0), count, graph.integer(1)]);
}

/**
 * Inputs of the experts for the slots numbered `slots` (int64 `[rows]`), `[rows, hidden]` in the precision of `graph`.
 * @param inputGates `[tokens, k]`, multiplied where a family gates the input
 */
export function rowsOfSlots(
  graph: GraphBuilder,
  x: Value,
  slots: Value,
  scalarK: Value,
  inputGates: Value | undefined,
): Value {
  const rows = graph.node('Gather', [graph.cast(x), graph.node('Div', [slots, scalarK])], { axis: 0 });
  if (inputGates === undefined) {
    return rows;
  }
  const gates = graph.node('Reshape', [graph.cast(inputGates), graph.integers([-1, 1])]);
  return graph.node('Mul', [rows, graph.node('Gather', [gates, slots], { axis: 0 })]);
}

/** Rows `[slots, hidden]` in slot order as float32 `[tokens, k, hidden]`. */
export function bySlot(graph: GraphBuilder, rows: Value, block: MoeBlockSpec, k: Value): Value {
  const shape = graph.node('Concat', [graph.integers([-1]), k, graph.integers([block.hiddenSize])], { axis: 0 });
  return graph.node('Reshape', [rows, shape]);
}
