import { TensorProto_DataType as DataType } from 'onnx-buf';
import { GraphBuilder } from '../graph/graphBuilder';

/** `a · b` for two float32 matrices: the probe of an execution provider. */
export function probeGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const a = graph.input('a', DataType.FLOAT, [null, null]);
  const b = graph.input('b', DataType.FLOAT, [null, null]);
  graph.output('c', graph.node('MatMul', [a, b]), DataType.FLOAT, [null, null]);
  return graph.build('probe');
}
