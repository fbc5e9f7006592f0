import type { RouterSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import type { Routing } from './router';

/** Keeps a row of zero scores from becoming NaN. */
const smallestSum = 1e-30;

/**
 * How a router spreads one unit over all experts, `[tokens, experts]`, so that routers of all kinds can be compared: the softmax of
 * the logits for softmax and raw-logit routers, and the scores divided by their sum for sigmoid and softplus ones.
 */
export function routerProbabilities(graph: GraphBuilder, routing: Routing, spec: RouterSpec): Value {
  switch (spec.score) {
    case 'softmax':
      return routing.scores;
    case 'logits':
      return graph.node('Softmax', [routing.logits], { axis: -1 });
    case 'sigmoid':
    case 'sqrt-softplus': {
      const sum = graph.node('ReduceSum', [routing.scores, graph.integers([1])], { keepdims: 1 });
      return graph.node('Div', [routing.scores, graph.node('Max', [sum, graph.float(smallestSum)])]);
    }
  }
}
