/** Token sequences of similar length that run together, padded on the right. */
export interface SequenceBatch {
  /** int64 `[count, time]`; padding is token 0 and is never scored. */
  readonly ids: BigInt64Array;
  readonly count: number;
  readonly time: number;
  /** For each row: which of the given sequences it is. */
  readonly sources: readonly number[];
}

/** Tokens that one step pushes through a layer: enough for full matrix speed, short enough to cancel between. */
const tokensPerBatch = 4096;

/** Attention scores (float32) that one step may hold, several times over; every open session keeps its own arena of that size. */
const attentionScoresPerBatch = 2 ** 23;

/** Groups sequences into batches, longest first, so that little is padded. `heads` bounds the attention memory. */
export function batchSequences(sequences: readonly Int32Array[], heads: number): SequenceBatch[] {
  const order = sequences
    .map((sequence, source) => ({ source, length: sequence.length }))
    .sort((left, right) => right.length - left.length || left.source - right.source);
  const batches: SequenceBatch[] = [];
  let at = 0;
  while (at < order.length) {
    const time = order[at]!.length;
    const byTokens = Math.floor(tokensPerBatch / time);
    const byAttention = Math.floor(attentionScoresPerBatch / (heads * time * time));
    const count = Math.min(Math.max(1, Math.min(byTokens, byAttention)), order.length - at);
    const members = order.slice(at, at + count);
    const ids = new BigInt64Array(count * time);
    members.forEach(({ source }, row) => {
      sequences[source]!.forEach((id, position) => {
        ids[row * time + position] = BigInt(id);
      });
    });
    batches.push({ ids, count, time, sources: members.map(({ source }) => source) });
    at += count;
  }
  return batches;
}
