import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { GraphBuilder, Value } from '../graphBuilder';
import { floatTypes } from './expertRows';

/**
 * Squared norms of combinations of vectors: `||Σ_i weights[t, j, i] · vectors[t, i]||²` as `[tokens, j]`, for `weights
 * [tokens, j, i]` and `vectors [tokens, i, hidden]`. Instead of the combinations it forms the inner products of the
 * vectors, `G = V·Vᵀ`, and sums `w·G·w`: the vectors are read once, whatever the number of combinations. G is exact
 * enough for differences: in float64, or in float32 of vectors in half precision, whose products tensor cores do not round.
 */
export function combinedSquares(graph: GraphBuilder, weights: Value, vectors: Value): Value {
  const { precision } = graph.target;
  const type = precision === 'float32' ? DataType.DOUBLE : DataType.FLOAT;
  const values = precision === 'float32' ? asType(graph, vectors, type) : rounded(graph, vectors);
  const gram = graph.append('FusedMatMul', [values, values], { transB: 1 }, { domain: 'com.microsoft' });
  // Small from here on, and element by element: products of float32 matrices would be rounded.
  const typed = asType(graph, weights, type);
  const pairs = graph.node('Mul', [
    graph.node('Unsqueeze', [typed, graph.integers([3])]),
    graph.node('Unsqueeze', [typed, graph.integers([2])]),
  ]);
  const terms = graph.node('Mul', [pairs, graph.node('Unsqueeze', [gram, graph.integers([1])])]);
  return asType(graph, graph.node('ReduceSum', [terms, graph.integers([2, 3])], { keepdims: 0 }), DataType.FLOAT);
}

function asType(graph: GraphBuilder, value: Value, type: DataType): Value {
  return graph.node('Cast', [value], { to: type });
}

/** Values of the precision of the experts, as float32. */
function rounded(graph: GraphBuilder, value: Value): Value {
  if (graph.isExactFactor(value)) {
    return value;
  }
  return asType(graph, asType(graph, value, floatTypes[graph.target.precision]), DataType.FLOAT);
}
