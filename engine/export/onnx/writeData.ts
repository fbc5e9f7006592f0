import { open, type FileHandle } from 'node:fs/promises';
import { fillFromFile, readTensorBytes } from '../../checkpoint/readTensor';
import { fileAccessError, nonBlockingRead } from '../../checkpoint/textFile';
import { dtypeBytes } from '../../checkpoint/types';
import type { StackedMatrix, StackPart } from '../../graph/export/stackedTensors';
import type { DataLayout, DataPiece } from './externalData';

/** Bytes that are in memory at once while whole tensors are copied. */
const chunkBytes = 16 * 2 ** 20;

/**
 * Writes the data file of an export, tensor after tensor: memory is one chunk, or one expert's matrices.
 * @param written told how many bytes are done; it may throw to end the writing
 * @throws TunerError `fileNotFound`, `malformedSafetensors`; errors of writing pass through
 */
export async function writeData(
  handle: FileHandle,
  { pieces }: DataLayout,
  written: (bytes: number) => void,
): Promise<void> {
  const sources = new SourceFiles();
  try {
    for (const piece of pieces) {
      if (piece.source.kind === 'range') {
        await copyRange(handle, await sources.open(piece.source.file), piece, piece.source, written);
      } else {
        await writeStack(handle, piece, piece.source.parts, written);
      }
    }
  } finally {
    await sources.dispose();
  }
}

/** Keeps one source file open: tensors of a layout come file by file. */
class SourceFiles {
  private current: { readonly file: string; readonly handle: FileHandle } | undefined;

  async open(file: string): Promise<FileHandle> {
    if (this.current?.file !== file) {
      await this.dispose();
      try {
        this.current = { file, handle: await open(file, nonBlockingRead) };
      } catch (error) {
        throw fileAccessError(error, file);
      }
    }
    return this.current.handle;
  }

  async dispose(): Promise<void> {
    const { current } = this;
    this.current = undefined;
    await current?.handle.close();
  }
}

async function copyRange(
  target: FileHandle,
  source: FileHandle,
  { offset, byteLength }: DataPiece,
  range: { readonly file: string; readonly byteOffset: number; readonly name: string },
  written: (bytes: number) => void,
): Promise<void> {
  for (let done = 0; done < byteLength; done += chunkBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, byteLength - done));
    await fillFromFile(source, chunk, range.byteOffset + done, range.file, range.name);
    await writeAll(target, chunk, offset + done);
    written(offset + done + chunk.byteLength);
  }
}

async function writeStack(
  target: FileHandle,
  { offset }: DataPiece,
  parts: readonly StackPart[],
  written: (bytes: number) => void,
): Promise<void> {
  let at = offset;
  for (const part of parts) {
    const bytes = await partBytes(part);
    await writeAll(target, bytes, at);
    at += bytes.byteLength;
    written(at);
  }
}

async function writeAll(target: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await target.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Bytes of one part, rows in the order the part says. */
export async function partBytes(part: StackPart): Promise<Uint8Array> {
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
async function rowBytes({ entry, rows, columns, transposed }: StackedMatrix): Promise<Uint8Array> {
  const bytes = await readTensorBytes(entry);
  if (!transposed) {
    return bytes;
  }
  return dtypeBytes[entry.dtype] === 2
    ? asBytes(transpose(new Uint16Array(bytes.buffer, bytes.byteOffset, rows * columns), rows, columns))
    : asBytes(transpose(new Uint32Array(bytes.buffer, bytes.byteOffset, rows * columns), rows, columns));
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
