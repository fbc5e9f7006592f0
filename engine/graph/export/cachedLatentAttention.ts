import type { LatentAttentionSpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import { projectQuery } from '../latentAttention';
import { linear } from '../linear';
import { norm } from '../norm';
import { attendCached, cacheShape, resizeHeads, rotateHeads } from './cachedAttention';
import type { SequenceValues } from './sequenceValues';

/**
 * Multi-head latent attention with a cache of expanded keys and values (DeepSeek-V2, arXiv 2405.04434, §2.1), the form that
 * generation loops with one head size for both take: values are filled up with zeros to the size of keys.
 * `x [batch · time, hidden]` → `[batch · time, hidden]`.
 */
export function cachedLatentAttention(
  graph: GraphBuilder,
  x: Value,
  layer: number,
  spec: LatentAttentionSpec,
  sequence: SequenceValues,
): Value {
  const { heads, noRopeSize, ropeSize, valueSize, latentSize } = spec;
  const headSize = noRopeSize + ropeSize;
  const slice = (value: Value, start: number, end: number) =>
    graph.node('Slice', [value, graph.integers([start]), graph.integers([end]), graph.integers([-1])]);
  const split = (value: Value, count: number, size: number) =>
    graph.node('Reshape', [value, graph.integers([-1, count, size])]);
  const turn = (value: Value, count: number) =>
    split(rotateHeads(graph, value, count, ropeSize, spec.rotary, sequence), count, ropeSize);

  const query = split(projectQuery(graph, x, spec), heads, headSize);
  const queryRotary = graph.node('Reshape', [
    slice(query, noRopeSize, headSize),
    graph.integers([-1, heads * ropeSize]),
  ]);
  const queries = graph.node('Concat', [slice(query, 0, noRopeSize), turn(queryRotary, heads)], { axis: 2 });

  const down = linear(graph, x, spec.keyValueDown);
  const latent = norm(graph, slice(down, 0, latentSize), spec.keyValueNorm, latentSize);
  const keyRotary = turn(slice(down, latentSize, latentSize + ropeSize), 1);
  const both = split(linear(graph, latent, spec.keyValueUp), heads, noRopeSize + valueSize);
  const shared = graph.node('Expand', [keyRotary, graph.integers([1, heads, 1])]);
  const keys = graph.node('Concat', [slice(both, 0, noRopeSize), shared], { axis: 2 });
  const narrow = graph.node('Reshape', [
    slice(both, noRopeSize, noRopeSize + valueSize),
    graph.integers([-1, heads * valueSize]),
  ]);

  const widest = Math.max(headSize, valueSize);
  const wide = (value: Value) => {
    const flat = graph.node('Reshape', [value, graph.integers([-1, heads * headSize])]);
    return resizeHeads(graph, flat, heads, headSize, widest);
  };
  const parts = {
    query: wide(queries),
    key: wide(keys),
    value: resizeHeads(graph, narrow, heads, valueSize, widest),
  };
  const { scale, mask } = spec;
  const mixed = attendCached(graph, parts, layer, cacheShape(heads, heads, widest), { scale, mask }, sequence);
  return linear(graph, resizeHeads(graph, mixed, heads, widest, valueSize), spec.output);
}
