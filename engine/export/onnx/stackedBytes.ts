import { readTensorBytes } from '../../checkpoint/readTensor';
import { dtypeBytes } from '../../checkpoint/types';
import type { StackedMatrix, StackPart } from '../../graph/export/stackedTensors';

/** Bytes of one part of a stacked tensor, rows in the order the part says; one expert's matrix is in memory. */
export async function stackedBytes(part: StackPart): Promise<Uint8Array> {
  if (part.kind === 'alternate') {
    const [first, second] = [await rowBytes(part.first), await rowBytes(part.second)];
    return alternate(first, second, part.first.rows);
  }
  const bytes = await rowBytes(part.matrix);
  if (part.kind === 'rows') {
    return bytes;
  }
  const half = bytes.byteLength / 2;
  return alternate(bytes.subarray(0, half), bytes.subarray(half), part.matrix.rows / 2);
}

/** Bytes that a part has. */
export function stackedByteLength(part: StackPart): number {
  const of = ({ entry, rows, columns }: StackedMatrix) => rows * columns * dtypeBytes[entry.dtype];
  return part.kind === 'alternate' ? of(part.first) + of(part.second) : of(part.matrix);
}

function alternate(first: Uint8Array, second: Uint8Array, rows: number): Uint8Array {
  const width = first.byteLength / rows;
  const bytes = new Uint8Array(2 * first.byteLength);
  for (let row = 0; row < rows; row += 1) {
    bytes.set(first.subarray(row * width, (row + 1) * width), 2 * row * width);
    bytes.set(second.subarray(row * width, (row + 1) * width), (2 * row + 1) * width);
  }
  return bytes;
}

/** A matrix as `[rows, columns]`, whatever its orientation in the file. */
async function rowBytes({ entry, rows, columns, transposed, packedBits }: StackedMatrix): Promise<Uint8Array> {
  const bytes = await readTensorBytes(entry);
  if (packedBits !== undefined) {
    return packRows(bytes, rows, columns, packedBits);
  }
  if (!transposed) {
    return bytes;
  }
  return dtypeBytes[entry.dtype] === 2
    ? asBytes(transpose(new Uint16Array(bytes.buffer, bytes.byteOffset, rows * columns), rows, columns))
    : asBytes(transpose(new Uint32Array(bytes.buffer, bytes.byteOffset, rows * columns), rows, columns));
}

/** Rows of one element a byte as rows of `columns` bytes, low bits first. */
function packRows(elements: Uint8Array, rows: number, columns: number, bits: number): Uint8Array {
  const packed = new Uint8Array(rows * columns);
  const perRow = elements.length / rows;
  const perByte = 8 / bits;
  elements.forEach((value, at) => {
    const [row, column] = [Math.floor(at / perRow), at % perRow];
    packed[row * columns + Math.floor(column / perByte)]! |= value << (bits * (column % perByte));
  });
  return packed;
}

function asBytes({ buffer, byteOffset, byteLength }: Uint16Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** `[columns, rows]` → `[rows, columns]`. */
function transpose<Elements extends Uint16Array | Uint32Array>(
  source: Elements,
  rows: number,
  columns: number,
): Elements {
  const target = new (source.constructor as new (length: number) => Elements)(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      target[row * columns + column] = source[column * rows + row]!;
    }
  }
  return target;
}
