import type { MoeBlockSpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import { moeBlock } from '../moeBlock';
import { besideRouted } from '../sharedExpert';
import { canFuseExperts, fusedExperts, type StackedWeights } from './fusedExperts';

/** How the routed experts of a block are computed: by one operator, or by one branch of plain operators each. */
export type ExportedExpertForm = 'fused' | 'branches';

/**
 * A MoE block of an exported decoder with `k` active experts, `x [tokens, hidden]` → `[tokens, hidden]`: one operator for all experts
 * where it computes them exactly, else branches.
 */
export function exportedBlock(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  k: number,
  weights: StackedWeights,
): { readonly output: Value; readonly form: ExportedExpertForm } {
  if (!canFuseExperts(block, k)) {
    return { output: moeBlock(graph, x, block, graph.integers([k])), form: 'branches' };
  }
  const sum = fusedExperts(graph, x, block, k, weights);
  const routed = block.routedScale === undefined ? sum : graph.node('Mul', [sum, graph.float(block.routedScale)]);
  const beside = besideRouted(graph, x, block);
  return { output: beside === undefined ? routed : graph.node('Add', [routed, beside]), form: 'fused' };
}
