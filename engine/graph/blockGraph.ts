import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { GraphBuilder } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { moeBlock } from './moeBlock';

/** Names of the inputs and outputs of the block graph. */
export const blockNames = { x: 'x', activeExperts: 'active_experts', y: 'y' } as const;

/** One MoE block alone: `x [tokens, hidden]`, `active_experts` int64 `[1]` → `y [tokens, hidden]`. */
export function blockGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const x = graph.input(blockNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const k = graph.input(blockNames.activeExperts, DataType.INT64, [1]);
  graph.output(blockNames.y, moeBlock(graph, x, block, k), DataType.FLOAT, [null, block.hiddenSize]);
  return graph.build('moe_block');
}
