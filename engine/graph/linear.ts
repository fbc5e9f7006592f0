import type { LinearSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import { decodeWeight } from './weights';

/** `x [rows, in]` → `[rows, out]`, in float32. */
export function linear(graph: GraphBuilder, x: Value, spec: LinearSpec): Value {
  const weight = decodeWeight(graph, spec.weight);
  const inputs = spec.bias === undefined ? [x, weight] : [x, weight, graph.weight(spec.bias)];
  return graph.node('Gemm', inputs, { transB: spec.orientation === 'output-major' ? 1 : 0 });
}
