import type { SequenceBatch } from './sequenceBatches';

/** A position whose next token is predicted, and the row of its hidden state in the batch. */
export interface PredictedRow {
  readonly source: number;
  readonly position: number;
  readonly row: number;
}

/** All predicted positions of a batch: every position of every sequence but the last; padding has none. */
export function predictedRows(batch: SequenceBatch, sequences: readonly Int32Array[]): PredictedRow[] {
  return batch.sources.flatMap((source, member) =>
    Array.from({ length: Math.max(0, sequences[source]!.length - 1) }, (_, position) => ({
      source,
      position,
      row: member * batch.time + position,
    })),
  );
}

/** The hidden states `[rows, width]` of some rows of a batch. */
export function gatherRows(hidden: Float32Array, rows: readonly PredictedRow[], width: number): Float32Array {
  const gathered = new Float32Array(rows.length * width);
  rows.forEach(({ row }, at) => {
    gathered.set(hidden.subarray(row * width, (row + 1) * width), at * width);
  });
  return gathered;
}
