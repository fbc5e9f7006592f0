import type { MoeBlockSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import type { Routing } from './router';

/**
 * Gates of every k from 1 to k0, each `[tokens, 1, k0]`: what the model would give its first k ranks, and zero to the others, so that
 * their product with the expert outputs `[tokens, k0, hidden]` is the routed output at k.
 */
export function gatesOfEveryK(graph: GraphBuilder, block: MoeBlockSpec, routing: Routing): Value[] {
  const k0 = block.activeExperts;
  const gatesAt = (k: number): Value =>
    block.router.apply === 'input' ? graph.filled(routing.gates(k), 1) : routing.gates(k);
  const padded = (k: number): Value =>
    k === k0 || block.router.sparseMixer !== undefined
      ? gatesAt(k)
      : graph.node('Pad', [gatesAt(k), graph.integers([0, 0, 0, k0 - k])], { mode: 'constant' });
  const scaled = (gates: Value): Value =>
    block.routedScale === undefined ? gates : graph.node('Mul', [gates, graph.float(block.routedScale)]);
  return Array.from({ length: k0 }, (_, at) => graph.node('Unsqueeze', [scaled(padded(at + 1)), graph.integers([1])]));
}
