import type { AttentionMask, GroupedQueryAttentionSpec } from '../families/specification';

/** Additive attention mask `[time, time]`: 0 where a query (row) sees a key (column), minus infinity elsewhere. */
export function attentionMask(mask: AttentionMask, time: number): Float32Array {
  const values = new Float32Array(time * time).fill(-Infinity);
  for (let query = 0; query < time; query += 1) {
    values.fill(0, query * time + firstVisible(mask, query), query * time + query + 1);
  }
  return values;
}

function firstVisible(mask: AttentionMask, query: number): number {
  switch (mask.kind) {
    case 'causal':
      return 0;
    case 'sliding':
      return Math.max(0, query - mask.window + 1);
    case 'chunked':
      return query - (query % mask.chunk);
  }
}

/** Query multipliers `[time, 1]` of Llama-4's layers without rotary: 1 + scale · ln(1 + floor((p + 1) / floor)). */
export function queryTemperature(
  temperature: NonNullable<GroupedQueryAttentionSpec['temperature']>,
  time: number,
): Float32Array {
  return Float32Array.from(
    { length: time },
    (_, position) => 1 + temperature.scale * Math.log1p(Math.floor((position + 1) / temperature.floor)),
  );
}
