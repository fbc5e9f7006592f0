import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { AttentionMask, GroupedQueryAttentionSpec, NormSpec, RotarySpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import { linear } from '../linear';
import { norm } from '../norm';
import { decoderNames, type SequenceValues } from './sequenceValues';

/** Sizes of one layer's keys and values in the cache; heads of both have the same size. */
export interface CacheShape {
  readonly heads: number;
  readonly keyValueHeads: number;
  /** As the model has it. */
  readonly headSize: number;
  /** As it lies in the cache: the operator takes multiples of 8, the rest is zero. */
  readonly cachedSize: number;
}

/** Sizes in the cache for heads whose keys have `headSize` elements. */
export function cacheShape(heads: number, keyValueHeads: number, headSize: number): CacheShape {
  return { heads, keyValueHeads, headSize, cachedSize: Math.ceil(headSize / 8) * 8 };
}

/** Grouped-query attention with a cache over `x [batch · time, hidden]` → `[batch · time, hidden]`. */
export function cachedAttention(
  graph: GraphBuilder,
  x: Value,
  layer: number,
  spec: GroupedQueryAttentionSpec,
  sequence: SequenceValues,
): Value {
  const { headSize } = spec;
  const clip = (value: Value) =>
    spec.clip === undefined ? value : graph.node('Clip', [value, graph.float(-spec.clip), graph.float(spec.clip)]);
  const project = (map: GroupedQueryAttentionSpec['query'], heads: number, normSpec: NormSpec | undefined) => {
    const whole = normSpec !== undefined && spec.queryKeyNormScope === 'projection';
    const projected = linear(graph, x, map);
    const ready = clip(whole ? norm(graph, projected, normSpec, heads * headSize) : projected);
    const perHead = (value: Value, order: typeof spec.queryKeyNormOrder) =>
      normSpec === undefined || whole || spec.queryKeyNormOrder !== order
        ? value
        : normHeads(graph, value, normSpec, heads, headSize);
    const before = perHead(ready, 'before-rotary');
    const rotated =
      spec.rotary === undefined ? before : rotateHeads(graph, before, heads, headSize, spec.rotary, sequence);
    return perHead(rotated, 'after-rotary');
  };
  const plain = project(spec.query, spec.heads, spec.queryNorm);
  const query =
    spec.temperature === undefined ? plain : graph.node('Mul', [plain, sequence.temperature(spec.temperature)]);
  const key = project(spec.key, spec.keyValueHeads, spec.keyNorm);
  const value = clip(linear(graph, x, spec.value));
  const sinks = spec.sinks === undefined ? undefined : graph.weight(spec.sinks, [spec.heads]);
  const shape = cacheShape(spec.heads, spec.keyValueHeads, headSize);
  const { scale, softcap, mask } = spec;
  const mixed = attendCached(graph, { query, key, value }, layer, shape, { scale, softcap, sinks, mask }, sequence);
  return linear(graph, mixed, spec.output);
}

/**
 * Attention of new queries over the cache and the new keys and values; declares the layer's cache inputs and outputs.
 * All three are `[batch · time, heads · headSize]`; so is the result.
 */
export function attendCached(
  graph: GraphBuilder,
  { query, key, value }: { readonly query: Value; readonly key: Value; readonly value: Value },
  layer: number,
  shape: CacheShape,
  options: {
    readonly scale: number;
    readonly softcap?: number | undefined;
    readonly sinks?: Value | undefined;
    readonly mask: AttentionMask;
  },
  sequence: SequenceValues,
): Value {
  const { heads, keyValueHeads, headSize, cachedSize } = shape;
  const padded = (rows: Value, count: number) => {
    const wide = resizeHeads(graph, rows, count, headSize, cachedSize);
    return byToken(graph, wide, count * cachedSize, sequence);
  };
  const cache = (name: string) => graph.input(name, DataType.FLOAT, [null, keyValueHeads, null, cachedSize]);
  const inputs = [
    padded(query, heads),
    padded(key, keyValueHeads),
    padded(value, keyValueHeads),
    cache(decoderNames.pastKey(layer)),
    cache(decoderNames.pastValue(layer)),
    sequence.lastPositions,
    sequence.total,
  ];
  const [bias, sinks] = [sequence.bias(options.mask), options.sinks];
  // Inputs 7 to 9 are for rotation inside the operator, which knows no positions of its own.
  const optional = sinks !== undefined ? ['', '', '', bias ?? '', sinks] : bias !== undefined ? ['', '', '', bias] : [];
  const presents = [decoderNames.presentKey(layer), decoderNames.presentValue(layer)];
  const mixed = graph.fresh('attention');
  graph.node(
    'GroupQueryAttention',
    [...inputs, ...optional],
    {
      num_heads: heads,
      kv_num_heads: keyValueHeads,
      scale: { float: options.scale },
      ...(options.softcap === undefined ? {} : { softcap: { float: options.softcap } }),
      ...(options.mask.kind === 'sliding' ? { local_window_size: options.mask.window } : {}),
    },
    { outputs: [mixed, ...presents], domain: 'com.microsoft' },
  );
  for (const name of presents) {
    graph.declareOutput(name, DataType.FLOAT, [null, keyValueHeads, null, cachedSize]);
  }
  const flat = graph.node('Reshape', [mixed, graph.integers([-1, heads * cachedSize])]);
  return resizeHeads(graph, flat, heads, cachedSize, headSize);
}

/** `[batch · time, width]` → `[batch, time, width]`. */
function byToken(graph: GraphBuilder, x: Value, width: number, sequence: SequenceValues): Value {
  const shape = graph.node('Concat', [sequence.batchTime, graph.integers([width])], { axis: 0 });
  return graph.node('Reshape', [x, shape]);
}

/** Rotates the heads of `x [batch · time, heads · headSize]`. */
export function rotateHeads(
  graph: GraphBuilder,
  x: Value,
  heads: number,
  headSize: number,
  rotary: RotarySpec,
  sequence: SequenceValues,
): Value {
  const { cosine, sine } = sequence.rotary(rotary);
  const rotated = graph.node(
    'RotaryEmbedding',
    [byToken(graph, x, heads * headSize, sequence), sequence.rows, cosine, sine],
    {
      num_heads: heads,
      rotary_embedding_dim: rotary.dimensions === headSize ? 0 : rotary.dimensions,
      interleaved: rotary.pairing === 'interleaved' ? 1 : 0,
    },
    { domain: 'com.microsoft' },
  );
  return graph.node('Reshape', [rotated, graph.integers([-1, heads * headSize])]);
}

function normHeads(graph: GraphBuilder, x: Value, spec: NormSpec, heads: number, headSize: number): Value {
  const split = graph.node('Reshape', [x, graph.integers([-1, heads, headSize])]);
  const normalised = norm(graph, split, spec, headSize);
  return graph.node('Reshape', [normalised, graph.integers([-1, heads * headSize])]);
}

/** Cuts every head of `x [rows, heads · from]` to `to` elements, or fills it up with zeros. */
export function resizeHeads(graph: GraphBuilder, x: Value, heads: number, from: number, to: number): Value {
  if (from === to) {
    return x;
  }
  const split = graph.node('Reshape', [x, graph.integers([-1, heads, from])]);
  const resized =
    to > from
      ? graph.node('Pad', [split, graph.integers([0, 0, 0, 0, 0, to - from])])
      : graph.node('Slice', [split, graph.integers([0]), graph.integers([to]), graph.integers([2])]);
  return graph.node('Reshape', [resized, graph.integers([-1, heads * to])]);
}
