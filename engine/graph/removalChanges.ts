import type { MoeBlockSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import type { Routing } from './router';

/** Change of the weights of the ranked experts, `[tokens, k, ranks]`: entry (j, r) of rank r when rank j is removed. */
export interface RemovalChanges {
  /** The next ranked expert takes the place. The same as `removed` where the router has no further candidate. */
  readonly replaced: Value;
  /** Nobody takes the place. */
  readonly removed: Value;
}

/**
 * What removing one chosen expert does to the weights of the others, by the model's own gate rule on the experts that are left: their
 * product with the outputs `[tokens, ranks, hidden]` is the change of the routed sum. For normalising routers this is the closed form
 * of RAZOR (arXiv 2609.30465), for the others its ‖p_i f_i - p_r f_r‖.
 */
export function removalChanges(
  graph: GraphBuilder,
  block: MoeBlockSpec,
  routing: Routing,
  k: number,
  refill: boolean,
): RemovalChanges {
  const ranks = refill ? k + 1 : k;
  const weightsOf = (kept: readonly number[]): Value => {
    const gates = routing.gatesOf(kept);
    return block.router.apply === 'input' ? graph.filled(gates, 1) : gates;
  };
  const column = (values: Value, at: number): Value =>
    graph.node('Slice', [values, graph.integers([at]), graph.integers([at + 1]), graph.integers([1])]);
  /** Weights of the kept ranks at their places, zero elsewhere, `[tokens, ranks]`. */
  const spread = (kept: readonly number[], zero: Value): Value => {
    const weights = kept.length === 0 ? undefined : weightsOf(kept);
    const columns = Array.from({ length: ranks }, (_, rank) => {
      const at = kept.indexOf(rank);
      return at === -1 ? zero : column(weights!, at);
    });
    return graph.node('Concat', columns, { axis: 1 });
  };
  const chosen = Array.from({ length: k }, (_, rank) => rank);
  const zero = graph.filled(column(routing.gatesOf(chosen), 0), 0);
  const original = spread(chosen, zero);
  const changes = (last: number): Value =>
    graph.node(
      'Concat',
      chosen.map((removed) => {
        const kept = Array.from({ length: last }, (_, rank) => rank).filter((rank) => rank !== removed);
        return graph.node('Unsqueeze', [graph.node('Sub', [spread(kept, zero), original]), graph.integers([1])]);
      }),
      { axis: 1 },
    );
  const removed = changes(k);
  return { replaced: refill ? changes(ranks) : removed, removed };
}
