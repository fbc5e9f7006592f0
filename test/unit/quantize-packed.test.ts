import { describe, expect, it } from 'vitest';
import { codesPerWord, packColumns, packRows } from '../../engine/methods/quantize/int32Packing';
import { SeededRandom } from '../../engine/numeric/seededRandom';

/** As compressed-tensors unpacks (`unpack_from_int32`), written from its description alone: big integers, one bit at a time. */
function unpackWords(bytes: Uint8Array, words: number, columns: number, bits: number): number[][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows = bytes.byteLength / 4 / words;
  const perWord = Math.floor(32 / bits);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_unused, column) => {
      const word = BigInt(view.getUint32(4 * (row * words + Math.floor(column / perWord)), true));
      let code = 0;
      for (let bit = 0; bit < bits; bit += 1) {
        code += Number((word >> BigInt(bits * (column % perWord) + bit)) & 1n) * 2 ** bit;
      }
      return code;
    }),
  );
}

describe('32-bit words', () => {
  it.each([2, 3, 4, 8])('hold codes of %s bits, low bits first', (bits) => {
    const random = new SeededRandom(bits);
    const [rows, columns] = [5, 48];
    const codes = Uint8Array.from({ length: rows * columns }, () => Math.floor(random.uniform() * 2 ** bits));
    const words = Math.ceil(columns / codesPerWord(bits));
    const packed = packRows(codes, rows, columns, bits);
    expect(packed).toHaveLength(4 * rows * words);
    expect(unpackWords(packed, words, columns, bits).flat()).toEqual([...codes]);
  });

  it('hold zero points along the rows', () => {
    const [rows, columns, bits] = [11, 3, 4];
    const codes = Uint8Array.from({ length: rows * columns }, (_, at) => (at * 7) % 16);
    const packed = packColumns(codes, rows, columns, bits);
    expect(packed).toHaveLength(4 * 2 * columns);
    const view = new DataView(packed.buffer);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const word = view.getUint32(4 * (Math.floor(row / 8) * columns + column), true);
        expect((word >>> (4 * (row % 8))) & 15).toBe(codes[row * columns + column]);
      }
    }
  });

  it('puts the first code into the lowest nibble', () => {
    // Eight signed codes -8 … -1 are stored as 0 … 7.
    const packed = packRows(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7), 1, 8, 4);
    expect(new DataView(packed.buffer).getUint32(0, true)).toBe(0x76543210);
  });
});
