import type { LatentAttentionSpec } from '../families/specification';
import { attend, joinHeads, splitHeads, type SequenceValues } from './attention';
import type { GraphBuilder, Value } from './graphBuilder';
import { linear } from './linear';
import { norm } from './norm';
import { rotate } from './rotary';

/**
 * Multi-head latent attention over `x [batch · time, hidden]` → `[batch · time, hidden]`
 * (DeepSeek-V2, arXiv 2405.04434, §2.1): keys and values come from a normalised latent, a small rotary part of
 * the key is shared by all heads.
 */
export function latentAttention(
  graph: GraphBuilder,
  x: Value,
  spec: LatentAttentionSpec,
  sequence: SequenceValues,
): Value {
  const slice = (value: Value, start: number, end: number) =>
    graph.node('Slice', [value, graph.integers([start]), graph.integers([end]), graph.integers([-1])]);
  const turn = (value: Value) => rotate(graph, value, spec.rotary, spec.ropeSize, sequence.cosine, sequence.sine);

  const headSize = spec.noRopeSize + spec.ropeSize;
  const query = splitHeads(graph, projectQuery(graph, x, spec), spec.heads, headSize, sequence);
  const queryRotary = turn(slice(query, spec.noRopeSize, headSize));
  const queries = graph.node('Concat', [slice(query, 0, spec.noRopeSize), queryRotary], { axis: 3 });

  const down = linear(graph, x, spec.keyValueDown);
  const latent = norm(graph, slice(down, 0, spec.latentSize), spec.keyValueNorm, spec.latentSize);
  const sharedKey = slice(down, spec.latentSize, spec.latentSize + spec.ropeSize);
  const keyRotary = turn(splitHeads(graph, sharedKey, 1, spec.ropeSize, sequence));

  const up = linear(graph, latent, spec.keyValueUp);
  const both = splitHeads(graph, up, spec.heads, spec.noRopeSize + spec.valueSize, sequence);
  const keyPlain = slice(both, 0, spec.noRopeSize);
  const values = slice(both, spec.noRopeSize, spec.noRopeSize + spec.valueSize);
  const rotaryShape = graph.node(
    'Concat',
    [
      graph.node('Slice', [graph.node('Shape', [keyPlain]), graph.integers([0]), graph.integers([3])]),
      graph.integers([spec.ropeSize]),
    ],
    { axis: 0 },
  );
  const keys = graph.node('Concat', [keyPlain, graph.node('Expand', [keyRotary, rotaryShape])], { axis: 3 });
  const transposed = graph.node('Transpose', [keys], { perm: [0, 1, 3, 2] });
  const mixed = attend(graph, queries, transposed, values, { scale: spec.scale }, sequence.mask);
  return linear(graph, joinHeads(graph, mixed, spec.heads * spec.valueSize), spec.output);
}

/** Queries `[rows, heads · (noRopeSize + ropeSize)]`, through the low-rank pair where there is one. */
export function projectQuery(graph: GraphBuilder, x: Value, spec: LatentAttentionSpec): Value {
  if (!('down' in spec.query)) {
    return linear(graph, x, spec.query);
  }
  const { down, norm: normSpec, up } = spec.query;
  return linear(graph, norm(graph, linear(graph, x, down), normSpec, down.outputSize), up);
}
