import type { SequenceBatch } from '../sequenceBatches';

/** A sequence of calibration text and its task or domain, as an index into the tags. */
export interface TaggedSequence {
  readonly ids: Int32Array;
  readonly tag: number;
}

/** One real token of a batch: its row in the batch, its number in the text, its tag. */
export interface BatchToken {
  readonly row: number;
  readonly number: number;
  readonly tag: number;
}

export function countTokens(sequences: readonly TaggedSequence[]): number {
  return sequences.reduce((sum, { ids }) => sum + ids.length, 0);
}

/** Number of the first token of every sequence, in the order of the text. */
export function tokenOffsets(sequences: readonly TaggedSequence[]): number[] {
  let next = 0;
  return sequences.map(({ ids }) => {
    const start = next;
    next += ids.length;
    return start;
  });
}

/** The tokens of a batch that are not padding. */
export function realTokens(
  batch: SequenceBatch,
  sequences: readonly TaggedSequence[],
  offsets: readonly number[],
): BatchToken[] {
  return batch.sources.flatMap((source, at) => {
    const { ids, tag } = sequences[source]!;
    return Array.from(ids, (_, position) => ({
      row: at * batch.time + position,
      number: offsets[source]! + position,
      tag,
    }));
  });
}

/** Tags of tokens given by their numbers, ascending. */
export function tagsOf(
  tokens: Int32Array,
  sequences: readonly TaggedSequence[],
  offsets: readonly number[],
): Uint16Array {
  let source = 0;
  return Uint16Array.from(tokens, (token) => {
    while (token >= offsets[source]! + sequences[source]!.ids.length) {
      source += 1;
    }
    return sequences[source]!.tag;
  });
}

/** Rows of `[rows, width]` values, in the order of the tokens. */
export function gatherRows(values: Float32Array, tokens: readonly BatchToken[], width: number): Float32Array {
  const result = new Float32Array(tokens.length * width);
  tokens.forEach(({ row }, at) => result.set(values.subarray(row * width, (row + 1) * width), at * width));
  return result;
}
