import { TensorProto_DataType as DataType } from 'onnx-buf';
import { GraphBuilder } from '../graph/graphBuilder';

/** Side of the square matrices of the micro-benchmark. */
export const probeSize = 1024;

/** `a · b` for two square float32 matrices: the probe of an execution provider. */
export function probeGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const a = graph.input('a', DataType.FLOAT, [probeSize, probeSize]);
  const b = graph.input('b', DataType.FLOAT, [probeSize, probeSize]);
  graph.output('c', graph.node('MatMul', [a, b]), DataType.FLOAT, [probeSize, probeSize]);
  return graph.build('probe');
}
