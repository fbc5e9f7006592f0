/** How rotary embedding pairs the values of a head. */
type Pairing = 'half' | 'interleaved';

/** Where the turned values of a projection lie. */
export interface TurnedRows {
  readonly heads: number;
  /** Rows of one head. */
  readonly headSize: number;
  /** First turned row of a head. */
  readonly first: number;
  /** Turned rows of a head. */
  readonly dimensions: number;
  readonly from: Pairing;
  readonly to: Pairing;
}

/**
 * Rows of a query or key projection in the order in which another pairing of rotary embedding turns the same values together:
 * (i, i + half) against (2i, 2i + 1). Dot products of queries and keys stay what they are.
 * @returns the old row at every new place; undefined where nothing moves
 */
export function rotaryRows({ heads, headSize, first, dimensions, from, to }: TurnedRows): Int32Array | undefined {
  if (from === to) {
    return undefined;
  }
  const half = dimensions / 2;
  return Int32Array.from({ length: heads * headSize }, (_, at) => {
    const inHead = at % headSize;
    const turned = inHead - first;
    if (turned < 0 || turned >= dimensions) {
      return at;
    }
    const source =
      to === 'interleaved' ? (turned % 2) * half + (turned >> 1) : (turned % half) * 2 + Math.floor(turned / half);
    return at - turned + source;
  });
}
