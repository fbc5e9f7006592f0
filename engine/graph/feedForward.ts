import type { ActivationSpec, FeedForwardSpec } from '../families/specification';
import { gatedActivation, ungatedActivation } from './activation';
import type { GraphBuilder, Value } from './graphBuilder';
import { linear } from './linear';

/** One feed-forward network, `x [rows, hidden]` → `[rows, hidden]`: an expert, a shared expert or a dense layer. */
export function feedForward(
  graph: GraphBuilder,
  x: Value,
  network: FeedForwardSpec,
  activation: ActivationSpec,
): Value {
  return linear(graph, intermediateActivations(graph, x, network, activation), network.down);
}

/** What enters the down projection, `[rows, width]`. */
export function intermediateActivations(
  graph: GraphBuilder,
  x: Value,
  network: FeedForwardSpec,
  activation: ActivationSpec,
): Value {
  switch (network.layout) {
    case 'gated': {
      const gate = linear(graph, x, network.gate);
      const up = linear(graph, x, network.up);
      return gatedActivation(graph, gate, up, activation);
    }
    case 'fused-gated': {
      const both = linear(graph, x, network.gateUp);
      const [gate, up] = separate(graph, both, network.gateUp.outputSize / 2, network.arrangement);
      return gatedActivation(graph, gate, up, activation);
    }
    case 'ungated':
      return ungatedActivation(graph, linear(graph, x, network.up), activation);
  }
}

function separate(
  graph: GraphBuilder,
  both: Value,
  width: number,
  arrangement: 'concatenated' | 'interleaved',
): [Value, Value] {
  const slice = (start: number, end: number, step: number) =>
    graph.node('Slice', [both, ...[[start], [end], [1], [step]].map((value) => graph.integers(value))]);
  return arrangement === 'concatenated'
    ? [slice(0, width, 1), slice(width, 2 * width, 1)]
    : [slice(0, 2 * width, 2), slice(1, 2 * width, 2)];
}
