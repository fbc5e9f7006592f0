import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../../families/specification';
import { blockGraph, blockNames } from '../blockGraph';
import { GraphBuilder, type Value } from '../graphBuilder';
import { exportTarget } from './decoderGraph';
import { exportedBlock } from './exportedBlock';
import { canFuseExperts } from './fusedExperts';
import type { StackedTensors } from './stackedTensors';

/**
 * One MoE block in the form of an exported decoder, with the active experts as an input: `x [tokens, hidden]`, `active_experts`
 * int64 `[1]` from 1 to `most` → `y [tokens, hidden]`. Every number has its own branch, all at the same depth, so that times compare.
 */
export function exportedBlockGraph(block: MoeBlockSpec, most: number, stacks: StackedTensors): Uint8Array {
  const every = Array.from({ length: most }, (_, at) => at + 1);
  if (!every.every((count) => canFuseExperts(block, count))) {
    return blockGraph(block, exportTarget);
  }
  const graph = new GraphBuilder(exportTarget);
  const x = graph.input(blockNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const k = graph.input(blockNames.activeExperts, DataType.INT64, [1]);
  const depth = Math.ceil(Math.log2(most));
  const choose = (builder: GraphBuilder, first: number, levels: number): Value => {
    if (levels === 0) {
      return exportedBlock(builder, x, block, Math.min(first, most), { stacks, outer: graph }).output;
    }
    const middle = first + 2 ** (levels - 1);
    const part = (start: number) =>
      builder.branch((branch) => [{ value: choose(branch, start, levels - 1), elementType: DataType.FLOAT, rank: 2 }]);
    const isLower = builder.node('Squeeze', [builder.node('Less', [k, builder.integers([middle])])]);
    return builder.node('If', [isLower], { then_branch: part(first), else_branch: part(middle) });
  };
  graph.output(blockNames.y, choose(graph, 1, depth), DataType.FLOAT, [null, block.hiddenSize]);
  return graph.build('exported_block');
}
