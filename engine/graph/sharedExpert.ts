import type { MoeBlockSpec, SharedExpertSpec } from '../families/specification';
import { feedForward } from './feedForward';
import type { GraphBuilder, Value } from './graphBuilder';
import { floatTypes } from './gpu/expertRows';
import { linear } from './linear';

/** What a block adds to its routed experts for every token: the shared expert, a bias, both, or undefined. */
export function besideRouted(graph: GraphBuilder, x: Value, block: MoeBlockSpec): Value | undefined {
  const shared = block.shared === undefined ? undefined : sharedExpert(graph, x, block.shared);
  if (block.outputBias === undefined) {
    return shared;
  }
  const bias = graph.weight(block.outputBias, [1, block.hiddenSize]);
  return shared === undefined ? bias : graph.node('Add', [shared, bias]);
}

/** Output of a shared expert for `x [tokens, hidden]`, behind its gate where it has one. */
export function sharedExpert(graph: GraphBuilder, x: Value, shared: SharedExpertSpec): Value {
  const view = graph.inPrecision(floatTypes[graph.target.precision]);
  const inPrecision = view === graph ? x : view.cast(x);
  const network = feedForward(view, inPrecision, shared.network, shared.activation);
  const output = view === graph ? network : graph.cast(network, view);
  const gated =
    shared.gate === undefined
      ? output
      : graph.node('Mul', [output, graph.node('Sigmoid', [linear(graph, x, shared.gate)])]);
  return shared.scale === undefined ? gated : graph.node('Mul', [gated, graph.float(shared.scale)]);
}
