import { attend, causal, type Mixer } from './attention';
import { applyLinear, type Linear } from './linear';
import type { Norm } from './norms';
import { rotate, type Rope } from './rope';

/** Multi-head latent attention (DeepSeek-V2 and V3): keys and values are expanded from a small latent. */
export interface LatentAttention {
  /** Directly to the heads, or through a normalized low-rank latent. */
  readonly query: Linear | { readonly down: Linear; readonly norm: Norm; readonly up: Linear };
  /** Gives `[latentWidth + ropeWidth]`: the latent, then one rotary key that all heads share. */
  readonly keyValueDown: Linear;
  readonly keyValueNorm: Norm;
  /** Gives for each head `[nopeWidth + valueWidth]`. */
  readonly keyValueUp: Linear;
  readonly output: Linear;
  readonly heads: number;
  readonly latentWidth: number;
  readonly nopeWidth: number;
  readonly ropeWidth: number;
  readonly valueWidth: number;
  readonly scale: number;
  readonly rope: Rope;
}

export function latentAttention(attention: LatentAttention): Mixer {
  const { heads, latentWidth, nopeWidth, ropeWidth, valueWidth } = attention;
  const queryWidth = nopeWidth + ropeWidth;
  return (hidden) => {
    const queries = hidden.map((vector, position) => {
      const query = projectQuery(attention.query, vector);
      for (let head = 0; head < heads; head += 1) {
        rotate(query.subarray(head * queryWidth + nopeWidth, (head + 1) * queryWidth), position, attention.rope);
      }
      return query;
    });
    const keys: Float64Array[] = [];
    const values: Float64Array[] = [];
    hidden.forEach((vector, position) => {
      const compressed = applyLinear(attention.keyValueDown, vector);
      const rotaryKey = compressed.slice(latentWidth);
      rotate(rotaryKey, position, attention.rope);
      const expanded = applyLinear(attention.keyValueUp, attention.keyValueNorm(compressed.slice(0, latentWidth)));
      const key = new Float64Array(heads * queryWidth);
      const value = new Float64Array(heads * valueWidth);
      for (let head = 0; head < heads; head += 1) {
        const start = head * (nopeWidth + valueWidth);
        key.set(expanded.subarray(start, start + nopeWidth), head * queryWidth);
        key.set(rotaryKey, head * queryWidth + nopeWidth);
        value.set(expanded.subarray(start + nopeWidth, start + nopeWidth + valueWidth), head * valueWidth);
      }
      keys.push(key);
      values.push(value);
    });
    const mixed = attend(queries, keys, values, {
      heads,
      keyValueHeads: heads,
      queryWidth,
      valueWidth,
      scale: attention.scale,
      visible: causal,
    });
    return mixed.map((vector) => applyLinear(attention.output, vector));
  };
}

function projectQuery(query: LatentAttention['query'], vector: Float64Array): Float64Array {
  return 'down' in query
    ? applyLinear(query.up, query.norm(applyLinear(query.down, vector)))
    : applyLinear(query, vector);
}
