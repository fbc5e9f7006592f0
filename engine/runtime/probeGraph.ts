import { TensorProto_DataType as DataType } from 'onnx-buf';
import { GraphBuilder } from '../graph/graphBuilder';

/**
 * `c = a · b` for two float32 matrices, and `last` the first row of `c · b · b …` with `products` factors in all, scaled so that its values stay
 * near those of c: so many products for one copy to the device and back that the copies do not hide its speed.
 */
export function probeGraph(products: number): Uint8Array {
  const graph = new GraphBuilder();
  const a = graph.input('a', DataType.FLOAT, [null, null]);
  const b = graph.input('b', DataType.FLOAT, [null, null]);
  const first = graph.node('MatMul', [a, b]);
  let last = first;
  const scale = graph.input('scale', DataType.FLOAT, []);
  for (let product = 1; product < products; product += 1) {
    last = graph.node('MatMul', [graph.node('Mul', [last, scale]), b]);
  }
  graph.output('c', first, DataType.FLOAT, [null, null]);
  const row = graph.node('Slice', [last, graph.integers([0]), graph.integers([1]), graph.integers([0])]);
  graph.output('last', row, DataType.FLOAT, [1, null]);
  return graph.build('probe');
}
