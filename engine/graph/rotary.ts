import type { RotarySpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';

/**
 * Rotates the first `dimensions` of every head. `x [batch, heads, time, headSize]`; cosine and sine are
 * `[time, dimensions / 2]`.
 */
export function rotate(
  graph: GraphBuilder,
  x: Value,
  spec: RotarySpec,
  headSize: number,
  cosine: Value,
  sine: Value,
): Value {
  const half = spec.dimensions / 2;
  const slice = (start: number, end: number, step: number) =>
    graph.node('Slice', [
      x,
      graph.integers([start]),
      graph.integers([end]),
      graph.integers([3]),
      graph.integers([step]),
    ]);
  const [a, b] =
    spec.pairing === 'half'
      ? [slice(0, half, 1), slice(half, spec.dimensions, 1)]
      : [slice(0, spec.dimensions, 2), slice(1, spec.dimensions, 2)];
  const first = graph.node('Sub', [graph.node('Mul', [a, cosine]), graph.node('Mul', [b, sine])]);
  const second = graph.node('Add', [graph.node('Mul', [b, cosine]), graph.node('Mul', [a, sine])]);
  const rotated = spec.pairing === 'half' ? [first, second] : [interleave(graph, first, second, spec.dimensions)];
  const rest = spec.dimensions === headSize ? [] : [slice(spec.dimensions, headSize, 1)];
  return graph.node('Concat', [...rotated, ...rest], { axis: 3 });
}

function interleave(graph: GraphBuilder, first: Value, second: Value, dimensions: number): Value {
  const unsqueezed = [first, second].map((value) => graph.node('Unsqueeze', [value, graph.integers([4])]));
  const pairs = graph.node('Concat', unsqueezed, { axis: 4 });
  return graph.node('Reshape', [pairs, graph.integers([0, 0, 0, dimensions])]);
}
