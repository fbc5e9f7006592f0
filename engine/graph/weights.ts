import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { BlockQuantizedWeight, WeightSource } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';

/** The 16 values of the MXFP4 (E2M1) code, sign in the top bit. OCP Microscaling Formats v1.0, §5.3.3. */
const mxfp4Values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** Bias of the E8M0 scale exponent; 255 stands for NaN. OCP Microscaling Formats v1.0, §5.4.1. */
const mxfp4ScaleBias = 127;

/** A weight matrix `[rows, columns]` as float32, whatever its storage. */
export function decodeWeight(graph: GraphBuilder, weight: WeightSource): Value {
  switch (weight.storage) {
    case 'plain':
      return graph.weight(weight.entry);
    case 'fp8-block':
      return decodeFp8Block(graph, weight);
    case 'mxfp4':
      return decodeMxfp4(graph, weight);
    case 'block-quantized':
      return decodeBlockQuantized(graph, weight);
  }
}

/** Rows and columns of a weight matrix, without reading it. */
export function weightShape(weight: WeightSource): readonly number[] {
  if (weight.storage === 'mxfp4') {
    const [rows, blocks, bytes] = weight.blocks.shape as [number, number, number];
    return [rows, blocks * bytes * 2];
  }
  return weight.storage === 'block-quantized' ? [weight.rows, weight.columns] : weight.entry.shape;
}

/** Unpacks a byte into its codes by a table, then (code - zero point) · scale per group. */
function decodeBlockQuantized(graph: GraphBuilder, weight: BlockQuantizedWeight): Value {
  const { bits, rows, columns, group } = weight;
  const perByte = 8 / bits;
  const middle = weight.zeroPoints === undefined ? 2 ** (bits - 1) : 0;
  const table = Array.from({ length: 256 * perByte }, (_, at) => {
    const [byte, slot] = [Math.floor(at / perByte), at % perByte];
    return ((byte >> (bits * slot)) & (2 ** bits - 1)) - middle;
  });
  const asIndex = (value: Value) => graph.node('Cast', [value], { to: DataType.INT32 });
  const codes = graph.node('Gather', [graph.floats(table, [256, perByte]), asIndex(graph.stored(weight.codes))], {
    axis: 0,
  });
  const groups = columns / group;
  const values = graph.node('Reshape', [codes, graph.integers([rows, groups, group])]);
  const perGroup = (value: Value) => graph.node('Reshape', [value, graph.integers([rows, groups, 1])]);
  const centred =
    weight.zeroPoints === undefined
      ? values
      : graph.node('Sub', [
          values,
          perGroup(graph.node('Cast', [graph.stored(weight.zeroPoints)], { to: DataType.FLOAT })),
        ]);
  const scaled = graph.node('Mul', [centred, perGroup(graph.weight(weight.scales))]);
  return graph.node('Reshape', [scaled, graph.integers([rows, columns])]);
}

function decodeFp8Block(graph: GraphBuilder, weight: Extract<WeightSource, { storage: 'fp8-block' }>): Value {
  const [rows, columns] = weight.entry.shape as [number, number];
  const [blockRows, blockColumns] = weight.block;
  const blockOf = (size: number, block: number) => Array.from({ length: size }, (_, at) => Math.floor(at / block));
  const scale = graph.weight(weight.scale);
  const byRow = graph.node('Gather', [scale, graph.integers(blockOf(rows, blockRows))], { axis: 0 });
  const expanded = graph.node('Gather', [byRow, graph.integers(blockOf(columns, blockColumns))], { axis: 1 });
  return graph.node('Mul', [graph.weight(weight.entry), expanded]);
}

/** Each byte holds two codes, the low nibble first; a table of 256 pairs decodes them at once. */
function decodeMxfp4(graph: GraphBuilder, weight: Extract<WeightSource, { storage: 'mxfp4' }>): Value {
  const [rows, columns] = weightShape(weight) as [number, number];
  const pairs = Array.from({ length: 256 }, (_, byte) => [mxfp4Values[byte & 15]!, mxfp4Values[byte >> 4]!]).flat();
  const powers = Array.from({ length: 256 }, (_, byte) => (byte === 255 ? NaN : 2 ** (byte - mxfp4ScaleBias)));
  const asIndex = (value: Value) => graph.node('Cast', [value], { to: DataType.INT32 });
  const codes = graph.node('Gather', [graph.floats(pairs, [256, 2]), asIndex(graph.stored(weight.blocks))], {
    axis: 0,
  });
  const blocks = weight.blocks.shape[1]!;
  const values = graph.node('Reshape', [codes, graph.integers([rows, blocks, -1])]);
  const scales = graph.node('Gather', [graph.floats(powers), asIndex(graph.stored(weight.scales))], { axis: 0 });
  const scaled = graph.node('Mul', [values, graph.node('Unsqueeze', [scales, graph.integers([2])])]);
  return graph.node('Reshape', [scaled, graph.integers([rows, columns])]);
}
