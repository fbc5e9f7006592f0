import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { TensorEntry } from '../checkpoint/types';
import type { LinearSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';

/** Smallest group that `MatMulNBits` takes; groups are powers of two. */
const smallestGroup = 16;

/**
 * `x [rows, in]` → `[rows, out]` by `MatMulNBits`, which multiplies with codes as they are and adds in float32.
 * @returns undefined where the graph is not built for it, or the operator does not take the weight
 */
export function quantizedProduct(graph: GraphBuilder, x: Value, spec: LinearSpec): Value | undefined {
  const { weight, orientation, bias } = spec;
  const wanted = graph.target.quantizedProducts === 'operator' && graph.elementType === DataType.FLOAT;
  if (!wanted || weight.storage !== 'block-quantized' || orientation !== 'output-major') {
    return undefined;
  }
  const { bits, group, rows, columns, codes, scales, zeroPoints } = weight;
  if (group < smallestGroup || !Number.isInteger(Math.log2(group))) {
    return undefined;
  }
  const groups = columns / group;
  const inputs = [
    x,
    graph.stored(codes, [rows, groups, (group * bits) / 8]),
    graph.weight(scales, [rows * groups]),
    ...(zeroPoints === undefined ? [] : [zeroPointInput(graph, zeroPoints, bits, rows * groups)]),
  ];
  const attributes = { K: columns, N: rows, bits, block_size: group };
  const product = graph.node('MatMulNBits', inputs, attributes, { domain: 'com.microsoft' });
  return bias === undefined ? product : graph.node('Add', [product, graph.weight(bias)]);
}

/** Bytes for codes of 8 bits; for fewer, where bytes would have to be packed, floats one after the other. */
function zeroPointInput(graph: GraphBuilder, zeroPoints: TensorEntry, bits: number, count: number): Value {
  const stored = graph.stored(zeroPoints, [count]);
  return bits === 8 ? stored : graph.node('Cast', [stored], { to: DataType.FLOAT });
}
