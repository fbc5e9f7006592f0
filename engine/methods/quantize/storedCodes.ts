/** Codes and scales of consecutive rows, as they are stored; groups run along rows. */
export interface StoredCodes {
  /** Bits that a code is stored in: codes of 3 bits are stored in 4. */
  readonly bits: 2 | 4 | 8;
  readonly group: number;
  readonly rows: number;
  readonly columns: number;
  /** Low bits first, as `packCodes` gives them. */
  readonly packed: Uint8Array;
  /** `[rows, columns / group]`. */
  readonly scales: Float32Array;
  /** One per scale; absent: 2^(bits - 1) everywhere. */
  readonly zeroPoints?: Uint8Array | undefined;
}
