import type { GraphBuilder, Value } from './graphBuilder';
import type { Routing } from './router';

/** Numeric stand-in for minus infinity inside ArgMax chains. */
const masked = -Infinity;

/**
 * PhiMoE's sparse mixer (inference form of SparseMixer-v2): the best expert is weighted by a softmax over the logits that
 * lie within `2 · threshold` of it, relatively; then the same again without that expert. It always takes two experts: the
 * reference ignores a smaller k, and so does this.
 */
export function sparseMixer(graph: GraphBuilder, logits: Value, threshold: number, expertCount: number): Routing {
  const indices = graph.integers(Array.from({ length: expertCount }, (_, expert) => expert));
  const first = bestOf(graph, logits, logits, threshold, indices);
  const isFirst = graph.node('Equal', [indices, first.expert]);
  const rest = graph.node('Where', [isFirst, graph.float(masked), logits]);
  const second = bestOf(graph, rest, logits, threshold, indices);
  const experts = graph.node('Concat', [first.expert, second.expert], { axis: 1 });
  const gates = graph.node('Concat', [first.gate, second.gate], { axis: 1 });
  return { experts, gates: () => gates, logits };
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
