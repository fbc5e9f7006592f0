import type { FileHandle } from 'node:fs/promises';
import { TunerError } from '../protocol/errors';
import { writeAtomically } from './atomicFile';
import { headerLengthBytes } from './safetensorsHeader';
import { dtypeBytes, type Dtype } from './types';

/** What a header says of a tensor. */
export interface TensorDescription {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** A tensor to write: little-endian elements in row-major order, whole or as chunks that are asked for when their turn comes. */
export interface TensorToWrite extends TensorDescription {
  readonly data: Uint8Array | AsyncIterable<Uint8Array>;
}

/** Order of the reference writer: wide elements first, so that every tensor starts aligned. */
const dtypeOrder = [
  'U64',
  'I64',
  'F64',
  'F32',
  'U32',
  'I32',
  'BF16',
  'F16',
  'U16',
  'I16',
  'F8_E4M3',
  'F8_E5M2',
  'I8',
  'U8',
  'BOOL',
] as const satisfies readonly Dtype[];

/**
 * Writes a safetensors file, streaming: only one chunk is in memory at a time. The layout is that of the reference
 * writer (sorted by element type and name, header padded to 8 bytes), so the same tensors give the same bytes in any order.
 * @throws TunerError `writeFailed`; `internal` when data and shape disagree or a name occurs twice. Nothing stays behind.
 */
export async function writeSafetensors(
  file: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = [...tensors].sort(
    (left, right) =>
      dtypeOrder.indexOf(left.dtype) - dtypeOrder.indexOf(right.dtype) || compareNames(left.name, right.name),
  );
  const header = buildHeader(sorted, metadata, file);
  await writeAtomically(file, async (handle) => {
    await writeAll(handle, header);
    for (const tensor of sorted) {
      await writeData(handle, tensor, file);
    }
  });
}

/**
 * The first bytes of a safetensors file whose tensors follow each other in the given order, padded to 8 bytes.
 * @param file for messages
 * @throws TunerError `internal` when a name occurs twice
 */
export function buildHeader(
  tensors: readonly TensorDescription[],
  metadata: Readonly<Record<string, string>>,
  file: string,
): Buffer {
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) {
    const sorted = Object.entries(metadata).sort(([left], [right]) => compareNames(left, right));
    entries.push(['__metadata__', Object.fromEntries(sorted)]);
  }
  const names = new Set<string>(['__metadata__']);
  let position = 0;
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name)) {
      throw new TunerError('internal', 'Two tensors of one name were to be written.', { file, place: name });
    }
    names.add(name);
    const end = position + byteLength(dtype, shape);
    entries.push([name, { dtype, shape, data_offsets: [position, end] }]);
    position = end;
  }
  // Joined by hand: an object would move names that look like integers to the front.
  const text = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
  const length = Math.ceil(Buffer.byteLength(text) / 8) * 8;
  const header = Buffer.alloc(headerLengthBytes + length, ' ');
  header.writeBigUInt64LE(BigInt(length), 0);
  header.write(text, headerLengthBytes, 'utf8');
  return header;
}

async function writeData(handle: FileHandle, { name, dtype, shape, data }: TensorToWrite, file: string): Promise<void> {
  const expected = byteLength(dtype, shape);
  let written = 0;
  for await (const chunk of data instanceof Uint8Array ? [data] : data) {
    written += chunk.byteLength;
    if (written > expected) {
      break;
    }
    await writeAll(handle, chunk);
  }
  if (written !== expected) {
    const message = `${dtype} of shape [${shape.join(', ')}] needs ${expected} bytes; the data have ${written} or more.`;
    throw new TunerError('internal', message, { file, place: name });
  }
}

/** Bytes of one write call; the system refuses calls of 2 GiB and more. */
const writeCallBytes = 256 * 2 ** 20;

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.byteLength - done, writeCallBytes));
    done += bytesWritten;
  }
}

function byteLength(dtype: Dtype, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
}

/** Order by code point, independent of the machine's language. */
function compareNames(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
