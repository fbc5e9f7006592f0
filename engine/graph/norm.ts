import type { NormSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';

/** Normalises the last axis of `x`, which has `size` elements. */
export function norm(graph: GraphBuilder, x: Value, spec: NormSpec, size: number): Value {
  if (spec.kind === 'layer') {
    const bias = spec.bias === undefined ? graph.floats(Array<number>(size).fill(0)) : graph.weight(spec.bias);
    return graph.node('LayerNormalization', [x, graph.weight(spec.weight), bias], {
      axis: -1,
      epsilon: { float: spec.epsilon },
    });
  }
  const stored =
    spec.weight === undefined ? graph.floats(Array<number>(size).fill(1)) : graph.weight(spec.weight, [size]);
  const weight = spec.offset === 0 ? stored : graph.node('Add', [stored, graph.float(spec.offset)]);
  return graph.node('SimplifiedLayerNormalization', [x, weight], { axis: -1, epsilon: { float: spec.epsilon } });
}
