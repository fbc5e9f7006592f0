import type { SequenceBatch } from './sequenceBatches';

/** A position whose next token is predicted, and the row of its hidden state in the batch. */
export interface PredictedRow {
  readonly source: number;
  readonly position: number;
  readonly row: number;
}

/** Positions of a sequence whose predictions count, from one (inclusive) to another (exclusive). */
export interface ScoredPositions {
  readonly from: number;
  readonly to: number;
}

/**
 * All predicted positions of a batch: every position of every sequence but the last, or those that are given by sequence;
 * padding has none.
 */
export function predictedRows(
  batch: SequenceBatch,
  sequences: readonly Int32Array[],
  scored?: readonly ScoredPositions[],
): PredictedRow[] {
  return batch.sources.flatMap((source, member) => {
    const { from, to } = scored?.[source] ?? { from: 0, to: Math.max(0, sequences[source]!.length - 1) };
    return Array.from({ length: to - from }, (_, at) => ({
      source,
      position: from + at,
      row: member * batch.time + from + at,
    }));
  });
}

/** The hidden states `[rows, width]` of some rows of a batch. */
export function gatherRows(hidden: Float32Array, rows: readonly PredictedRow[], width: number): Float32Array {
  const gathered = new Float32Array(rows.length * width);
  rows.forEach(({ row }, at) => {
    gathered.set(hidden.subarray(row * width, (row + 1) * width), at * width);
  });
  return gathered;
}
