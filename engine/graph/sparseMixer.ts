import type { GraphBuilder, Value } from './graphBuilder';
import type { Routing } from './router';

/** Numeric stand-in for minus infinity inside ArgMax chains. */
const masked = -Infinity;

/**
 * PhiMoE's sparse mixer (inference form of SparseMixer-v2): the best expert is weighted by a softmax over the logits that
 * lie within `2 · threshold` of it, relatively; then the same again without that expert. It always takes two experts: the
 * reference ignores a smaller k, and so does this.
 * @param refill ranks a third expert
 */
export function sparseMixer(
  graph: GraphBuilder,
  logits: Value,
  threshold: number,
  expertCount: number,
  refill = false,
): Routing {
  const indices = graph.integers(Array.from({ length: expertCount }, (_, expert) => expert));
  const without = (candidates: Value, expert: Value) =>
    graph.node('Where', [graph.node('Equal', [indices, expert]), graph.float(masked), candidates]);
  const first = bestOf(graph, logits, logits, threshold, indices);
  const rest = without(logits, first.expert);
  const second = bestOf(graph, rest, logits, threshold, indices);
  const ranked = [first, second];
  if (refill) {
    ranked.push(bestOf(graph, without(rest, second.expert), logits, threshold, indices));
  }
  const experts = graph.node(
    'Concat',
    ranked.map(({ expert }) => expert),
    { axis: 1 },
  );
  const gates = graph.node('Concat', [first.gate, second.gate], { axis: 1 });
  const gatesOf = (ranks: readonly number[] = ranked.map((_, rank) => rank)) => {
    // Experts that are left out were never candidates; each chosen one leaves the candidates of the next.
    let candidates = ranked.reduce(
      (left, { expert }, rank) => (ranks.includes(rank) ? left : without(left, expert)),
      logits,
    );
    const parts = ranks.map((rank) => {
      const { gate } = bestOf(graph, candidates, logits, threshold, indices);
      candidates = without(candidates, ranked[rank]!.expert);
      return gate;
    });
    return graph.node('Concat', parts, { axis: 1 });
  };
  const scores = graph.node('Softmax', [logits], { axis: -1 });
  return { experts, gates: () => gates, gatesOf, logits, scores };
}

/** The best candidate `[tokens, 1]` and its softmax weight among the candidates close to it. */
function bestOf(
  graph: GraphBuilder,
  candidates: Value,
  logits: Value,
  threshold: number,
  indices: Value,
): { expert: Value; gate: Value } {
  const best = graph.node('ReduceMax', [candidates, graph.integers([1])], { keepdims: 1 });
  const expert = graph.node('ArgMax', [candidates], { axis: 1, keepdims: 1 });
  const scale = graph.node('Max', [graph.node('Abs', [logits]), best]);
  const distance = graph.node('Div', [graph.node('Sub', [best, logits]), scale]);
  const far = graph.node('Greater', [distance, graph.float(2 * threshold)]);
  const near = graph.node('Where', [far, graph.float(masked), candidates]);
  const probabilities = graph.node('Softmax', [near], { axis: -1 });
  const isBest = graph.node('Equal', [indices, expert]);
  const gate = graph.node(
    'ReduceSum',
    [graph.node('Where', [isBest, probabilities, graph.float(0)]), graph.integers([1])],
    { keepdims: 1 },
  );
  return { expert, gate };
}
