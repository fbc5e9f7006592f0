import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { LinearSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import { quantizedProduct } from './quantizedProduct';
import { decodeWeight } from './weights';

/** `x [rows, in]` → `[rows, out]`, in the precision of `graph`. */
export function linear(graph: GraphBuilder, x: Value, spec: LinearSpec): Value {
  const quantized = quantizedProduct(graph, x, spec);
  if (quantized !== undefined) {
    return quantized;
  }
  // Other storages scale their codes, which needs the range of float32.
  const weight =
    spec.weight.storage === 'plain' || graph.elementType === DataType.FLOAT
      ? decodeWeight(graph, spec.weight)
      : graph.cast(decodeWeight(graph.inPrecision(DataType.FLOAT), spec.weight));
  const inputs = spec.bias === undefined ? [x, weight] : [x, weight, graph.weight(spec.bias)];
  return graph.node('Gemm', inputs, { transB: spec.orientation === 'output-major' ? 1 : 0 });
}
