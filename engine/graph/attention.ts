import type { GroupedQueryAttentionSpec, NormSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import { linear } from './linear';
import { norm } from './norm';
import { rotate } from './rotary';

/** Values of the sequence that token mixers share. */
export interface SequenceValues {
  /** int64 `[3]`: batch, time, hidden. */
  readonly shape: Value;
  /** Cosine and sine `[time, rotated / 2]` of this layer's rotary embedding. */
  readonly cosine: Value;
  readonly sine: Value;
  /** Additive mask `[time, time]` of this layer. */
  readonly mask: Value;
  /** Query multipliers `[time, 1]` for layers with temperature tuning. */
  readonly temperature: Value;
}

/** Grouped-query attention over `x [batch · time, hidden]` → `[batch · time, hidden]`. */
export function groupedQueryAttention(
  graph: GraphBuilder,
  x: Value,
  spec: GroupedQueryAttentionSpec,
  sequence: SequenceValues,
): Value {
  const clip = (value: Value) =>
    spec.clip === undefined ? value : graph.node('Clip', [value, graph.float(-spec.clip), graph.float(spec.clip)]);
  const project = (map: GroupedQueryAttentionSpec['query'], heads: number, normSpec: NormSpec | undefined) => {
    const projected = linear(graph, x, map);
    const normalised = clip(
      normSpec !== undefined && spec.queryKeyNormScope === 'projection'
        ? norm(graph, projected, normSpec, heads * spec.headSize)
        : projected,
    );
    const split = splitHeads(graph, normalised, heads, spec.headSize, sequence);
    const perHead = normSpec !== undefined && spec.queryKeyNormScope === 'head';
    const before = perHead && spec.queryKeyNormOrder === 'before-rotary';
    const ready = before ? norm(graph, split, normSpec, spec.headSize) : split;
    const rotated =
      spec.rotary === undefined
        ? ready
        : rotate(graph, ready, spec.rotary, spec.headSize, sequence.cosine, sequence.sine);
    return perHead && !before ? norm(graph, rotated, normSpec, spec.headSize) : rotated;
  };
  const unscaled = project(spec.query, spec.heads, spec.queryNorm);
  const query = spec.temperature === undefined ? unscaled : graph.node('Mul', [unscaled, sequence.temperature]);
  const key = project(spec.key, spec.keyValueHeads, spec.keyNorm);
  const value = splitHeads(graph, clip(linear(graph, x, spec.value)), spec.keyValueHeads, spec.headSize, sequence);

  const groups = spec.heads / spec.keyValueHeads;
  const grouped = graph.node('Reshape', [query, graph.integers([0, spec.keyValueHeads, groups, -1, spec.headSize])]);
  const keys = graph.node('Unsqueeze', [graph.node('Transpose', [key], { perm: [0, 1, 3, 2] }), graph.integers([2])]);
  const values = graph.node('Unsqueeze', [value, graph.integers([2])]);
  const sinks = spec.sinks === undefined ? undefined : graph.weight(spec.sinks, [1, spec.keyValueHeads, groups, 1, 1]);
  const mixed = attend(
    graph,
    grouped,
    keys,
    values,
    { scale: spec.scale, softcap: spec.softcap, sinks },
    sequence.mask,
  );
  const heads = graph.node('Reshape', [mixed, graph.integers([0, spec.heads, -1, spec.headSize])]);
  return linear(graph, joinHeads(graph, heads, spec.heads * spec.headSize), spec.output);
}

/** `[batch · time, heads · size]` → `[batch, heads, time, size]`. */
export function splitHeads(
  graph: GraphBuilder,
  x: Value,
  heads: number,
  size: number,
  sequence: SequenceValues,
): Value {
  const batchTime = graph.node('Slice', [sequence.shape, graph.integers([0]), graph.integers([2])]);
  const shape = graph.node('Concat', [batchTime, graph.integers([heads, size])], { axis: 0 });
  return graph.node('Transpose', [graph.node('Reshape', [x, shape])], { perm: [0, 2, 1, 3] });
}

/** `[batch, heads, time, size]` → `[batch · time, heads · size]`. */
export function joinHeads(graph: GraphBuilder, x: Value, width: number): Value {
  const transposed = graph.node('Transpose', [x], { perm: [0, 2, 1, 3] });
  return graph.node('Reshape', [transposed, graph.integers([-1, width])]);
}

/** Softmax attention; queries `[…, time, size]`, keys `[…, size, time]`, values `[…, time, size]`. */
export function attend(
  graph: GraphBuilder,
  query: Value,
  key: Value,
  value: Value,
  options: { scale: number; softcap?: number | undefined; sinks?: Value | undefined },
  mask: Value,
): Value {
  const raw = graph.node('Mul', [graph.node('MatMul', [query, key]), graph.float(options.scale)]);
  const capped =
    options.softcap === undefined
      ? raw
      : graph.node('Mul', [
          graph.node('Tanh', [graph.node('Div', [raw, graph.float(options.softcap)])]),
          graph.float(options.softcap),
        ]);
  const scores = graph.node('Add', [capped, mask]);
  const weights =
    options.sinks === undefined
      ? graph.node('Softmax', [scores], { axis: -1 })
      : softmaxWithSinks(graph, scores, options.sinks);
  return graph.node('MatMul', [weights, value]);
}

/** Softmax whose denominator has one more, learned, logit per head that attends to nothing (gpt-oss). */
function softmaxWithSinks(graph: GraphBuilder, scores: Value, sinks: Value): Value {
  const highest = graph.node('ReduceMax', [scores, graph.integers([-1])], { keepdims: 1 });
  const peak = graph.node('Max', [highest, sinks]);
  const exponentials = graph.node('Exp', [graph.node('Sub', [scores, peak])]);
  const total = graph.node('ReduceSum', [exponentials, graph.integers([-1])], { keepdims: 1 });
  const sink = graph.node('Exp', [graph.node('Sub', [sinks, peak])]);
  return graph.node('Div', [exponentials, graph.node('Add', [total, sink])]);
}
