import type { MoeBlockSpec } from '../families/specification';
import { expertOutputs } from './experts';
import type { GraphBuilder, Value } from './graphBuilder';
import { router, type Routing } from './router';
import { besideRouted } from './sharedExpert';

/** The parts of one MoE block that graphs combine in different ways. */
export interface MoeBlockValues {
  readonly routing: Routing;
  /** Un-gated outputs of the chosen experts, `[tokens, k, hidden]`. */
  readonly outputs: Value;
  /** What the block adds to its routed experts, `[tokens, hidden]` or `[1, hidden]`, when there is anything. */
  readonly shared: Value | undefined;
}

/**
 * Router, chosen experts and shared expert of one block for `x [tokens, hidden]` and `k` (int64 `[1]`).
 * @param refill also ranks and runs the expert that would take the place of a removed one: outputs are `[tokens, k + 1, hidden]`
 */
export function moeBlockValues(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  k: Value,
  refill = false,
): MoeBlockValues {
  const routing = router(graph, x, block.router, block.experts.length, k, refill);
  const ranked = () => (refill ? routing.gatesOf() : routing.gates());
  const inputGates = block.router.apply === 'input' ? ranked() : undefined;
  const outputs = expertOutputs(graph, x, block, routing.experts, inputGates);
  return { routing, outputs, shared: besideRouted(graph, x, block) };
}

/** The whole block: `x [tokens, hidden]` → `[tokens, hidden]`, no norm, no residual. */
export function moeBlock(graph: GraphBuilder, x: Value, block: MoeBlockSpec, k: Value): Value {
  return routedBlock(graph, x, block, k).output;
}

/** The whole block, and the routing decision it was made with. */
export function routedBlock(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  k: Value,
): { readonly output: Value; readonly routing: Routing } {
  const { routing, outputs, shared } = moeBlockValues(graph, x, block, k);
  const gated =
    block.router.apply === 'input'
      ? outputs
      : graph.node('Mul', [outputs, graph.node('Unsqueeze', [routing.gates(), graph.integers([2])])]);
  const sum = graph.node('ReduceSum', [gated, graph.integers([1])], { keepdims: 0 });
  const routed = scaled(graph, sum, block, k);
  return { output: shared === undefined ? routed : graph.node('Add', [routed, shared]), routing };
}

/** The sum of the routed experts with what a plan multiplies it by. */
function scaled(graph: GraphBuilder, sum: Value, { routedScale, routedScales }: MoeBlockSpec, k: Value): Value {
  const always = routedScale === undefined ? sum : graph.node('Mul', [sum, graph.float(routedScale)]);
  if (routedScales === undefined) {
    return always;
  }
  const at = graph.node('Sub', [k, graph.integers([1])]);
  return graph.node('Mul', [always, graph.node('Gather', [graph.floats(routedScales), at])]);
}
