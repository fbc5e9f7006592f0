import type { MoeBlockSpec } from '../families/specification';
import { conditionalExperts } from './conditionalExperts';
import { endAtExperts, givenOutputs } from './gpu/expertsApart';
import { canFuse, fusedExperts } from './gpu/fusedExperts';
import { sortedExperts } from './gpu/sortedExperts';
import type { GraphBuilder, Value } from './graphBuilder';

/**
 * Outputs of the chosen experts before gating, `[tokens, k, hidden]` in rank order, in the form that the target of the
 * graph runs best. Works for any router, since it sees nothing but the chosen indices.
 *
 * @param x `[tokens, hidden]`
 * @param experts chosen experts, int64 `[tokens, k]`
 * @param inputGates gates `[tokens, k]` that multiply the expert inputs (Llama-4); undefined elsewhere
 */
export function expertOutputs(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  experts: Value,
  inputGates: Value | undefined,
): Value {
  switch (graph.target.experts) {
    case 'conditional':
      return conditionalExperts(graph, x, block, experts, inputGates);
    case 'sorted':
      return sortedExperts(graph, x, block, experts, inputGates);
    case 'fused':
      return canFuse(block, graph.target.precision)
        ? fusedExperts(graph, x, block, experts, inputGates)
        : sortedExperts(graph, x, block, experts, inputGates);
    case 'chosen':
      return endAtExperts(graph, x, block, experts, inputGates);
    case 'given':
      return givenOutputs(graph, block);
  }
}
