import { applyLinear, softmax, type Linear } from './linear';
import { normEachHead, type Norm } from './norms';
import { rotate, type Rope } from './rope';

/** A sub-layer that mixes positions: the hidden states of one sequence in, as many out. */
export type Mixer = (hidden: readonly Float64Array[]) => Float64Array[];

/** Whether the query at one position sees the key at another. */
export type Visibility = (query: number, key: number) => boolean;

export const causal: Visibility = (query, key) => key <= query;

/** Causal, and only the last `window` positions, the query's own among them. */
export function slidingWindow(window: number): Visibility {
  return (query, key) => key <= query && key > query - window;
}

/** Causal, and only inside the query's own chunk of `size` positions. */
export function chunked(size: number): Visibility {
  return (query, key) => key <= query && Math.floor(key / size) === Math.floor(query / size);
}

/** What the score computation needs, once queries, keys and values are made. */
export interface ScoreOptions {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly queryWidth: number;
  readonly valueWidth: number;
  readonly scale: number;
  readonly visible: Visibility;
  /** Learned logits, one for each head, that take part in the softmax and carry no value. */
  readonly sinks?: Float64Array | undefined;
  /** Scores become `softcap · tanh(score / softcap)`. */
  readonly softcap?: number | undefined;
}

/** Softmax attention over whole-width vectors per position; gives `[heads * valueWidth]` per position. */
export function attend(
  queries: readonly Float64Array[],
  keys: readonly Float64Array[],
  values: readonly Float64Array[],
  options: ScoreOptions,
): Float64Array[] {
  const { heads, keyValueHeads, queryWidth, valueWidth } = options;
  return queries.map((query, position) => {
    const result = new Float64Array(heads * valueWidth);
    const seen = keys.map((_, key) => key).filter((key) => options.visible(position, key));
    for (let head = 0; head < heads; head += 1) {
      const shared = Math.floor(head / (heads / keyValueHeads));
      const logits = seen.map((key) => {
        let product = 0;
        for (let at = 0; at < queryWidth; at += 1) {
          product += query[head * queryWidth + at]! * keys[key]![shared * queryWidth + at]!;
        }
        const score = product * options.scale;
        return options.softcap === undefined ? score : options.softcap * Math.tanh(score / options.softcap);
      });
      if (options.sinks !== undefined) logits.push(options.sinks[head]!);
      const weights = softmax(logits);
      seen.forEach((key, index) => {
        for (let at = 0; at < valueWidth; at += 1) {
          result[head * valueWidth + at]! += weights[index]! * values[key]![shared * valueWidth + at]!;
        }
      });
    }
    return result;
  });
}

/** Grouped-query attention with everything that families vary. */
export interface GroupedQueryAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly visible: Visibility;
  /** No rotation at all (NoPE) when absent. */
  readonly rope: Rope | undefined;
  /** Norms of queries and keys: over the whole projection or each head, before or after the rotation. */
  readonly queryKeyNorm?:
    | {
        readonly query: Norm;
        readonly key: Norm;
        readonly over: 'projection' | 'head';
        readonly when: 'beforeRope' | 'afterRope';
      }
    | undefined;
  /** Queries, keys and values are clamped to ±clip, after a norm that comes before the rotation. */
  readonly clip?: number | undefined;
  /** A factor on the query that depends on its position (temperature tuning of Llama-4). */
  readonly queryTemperature?: ((position: number) => number) | undefined;
  readonly sinks?: Float64Array | undefined;
  readonly softcap?: number | undefined;
}

export function groupedQueryAttention(attention: GroupedQueryAttention): Mixer {
  const { heads, keyValueHeads, headDim, queryKeyNorm } = attention;
  const norm = (which: 'query' | 'key', vector: Float64Array) => {
    if (queryKeyNorm === undefined) return vector;
    const apply = queryKeyNorm[which];
    return queryKeyNorm.over === 'projection' ? apply(vector) : normEachHead(apply, vector, headDim);
  };
  const project = (which: 'query' | 'key', hidden: Float64Array, position: number) => {
    let vector = applyLinear(attention[which], hidden);
    if (queryKeyNorm?.when === 'beforeRope') vector = norm(which, vector);
    vector = clamp(vector, attention.clip);
    if (attention.rope !== undefined) {
      for (let start = 0; start < vector.length; start += headDim) {
        rotate(vector.subarray(start, start + headDim), position, attention.rope);
      }
    }
    return queryKeyNorm?.when === 'afterRope' ? norm(which, vector) : vector;
  };
  return (hidden) => {
    const queries = hidden.map((vector, position) => {
      const query = project('query', vector, position);
      const temperature = attention.queryTemperature?.(position) ?? 1;
      return query.map((value) => value * temperature);
    });
    const keys = hidden.map((vector, position) => project('key', vector, position));
    const values = hidden.map((vector) => clamp(applyLinear(attention.value, vector), attention.clip));
    const mixed = attend(queries, keys, values, {
      heads,
      keyValueHeads,
      queryWidth: headDim,
      valueWidth: headDim,
      scale: attention.scale,
      visible: attention.visible,
      sinks: attention.sinks,
      softcap: attention.softcap,
    });
    return mixed.map((vector) => applyLinear(attention.output, vector));
  };
}

function clamp(vector: Float64Array, limit: number | undefined): Float64Array {
  return limit === undefined ? vector : vector.map((value) => Math.min(Math.max(value, -limit), limit));
}
