/** How many codes one 32-bit word holds; bits that are left over stay zero (compressed-tensors `pack_to_int32`). */
export function codesPerWord(bits: number): number {
  return Math.floor(32 / bits);
}

/**
 * Codes of rows as little-endian 32-bit words, `[rows, ceil(columns / codesPerWord)]`: the first code in the lowest bits. Rows begin
 * on a new word.
 */
export function packRows(codes: Uint8Array, rows: number, columns: number, bits: number): Uint8Array {
  const perWord = codesPerWord(bits);
  const words = Math.ceil(columns / perWord);
  const packed = new Uint32Array(rows * words);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const word = row * words + Math.floor(column / perWord);
      packed[word] = (packed[word]! | (codes[row * columns + column]! << (bits * (column % perWord)))) >>> 0;
    }
  }
  return new Uint8Array(packed.buffer);
}

/** The same along the rows: `[ceil(rows / codesPerWord), columns]`, as zero points are stored. */
export function packColumns(codes: Uint8Array, rows: number, columns: number, bits: number): Uint8Array {
  const perWord = codesPerWord(bits);
  const packed = new Uint32Array(Math.ceil(rows / perWord) * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const word = Math.floor(row / perWord) * columns + column;
      packed[word] = (packed[word]! | (codes[row * columns + column]! << (bits * (row % perWord)))) >>> 0;
    }
  }
  return new Uint8Array(packed.buffer);
}
