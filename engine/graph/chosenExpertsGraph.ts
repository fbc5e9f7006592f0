import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { GraphBuilder } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { router } from './router';

export const chosenExpertsNames = { x: 'x', activeExperts: 'active_experts', experts: 'experts' } as const;

/** The router of a block alone: `x [tokens, hidden]`, `active_experts` int64 `[1]` → `experts` int64 `[tokens, k]`, best first. */
export function chosenExpertsGraph(block: MoeBlockSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const x = graph.input(chosenExpertsNames.x, DataType.FLOAT, [null, block.hiddenSize]);
  const k = graph.input(chosenExpertsNames.activeExperts, DataType.INT64, [1]);
  const { experts } = router(graph, x, block.router, block.experts.length, k);
  graph.output(chosenExpertsNames.experts, graph.node('Identity', [experts]), DataType.INT64, [null, null]);
  return graph.build('chosen_experts');
}
