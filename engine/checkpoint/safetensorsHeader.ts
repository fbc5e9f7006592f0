import { open, realpath, type FileHandle } from 'node:fs/promises';
import { TunerError } from '../protocol/errors';
import { isJsonObject, parseJson } from './jsonText';
import { fillFromFile } from './readTensor';
import { decodeUtf8, fileAccessError, nonBlockingRead } from './textFile';
import { dtypeBytes, type Dtype, type TensorEntry } from './types';

/** Limit of the reference implementation on the length of the JSON header. */
export const maximumHeaderBytes = 100_000_000;

/** Bytes in front of the header: its length as a 64-bit little-endian integer. */
export const headerLengthBytes = 8;

const openBrace = 0x7b;
const metadataKey = '__metadata__';

/** What the header of one safetensors file says; tensors are sorted by their position in the file. */
export interface SafetensorsHeader {
  readonly tensors: TensorEntry[];
  readonly metadata: Record<string, string>;
  readonly fileBytes: number;
}

/**
 * Reads and checks the header of a safetensors file, and nothing else: format at
 * https://huggingface.co/docs/safetensors. As in the reference reader the tensors must cover the data exactly: no hole,
 * no overlap, nothing after the last one.
 * @throws TunerError `malformedSafetensors` or `unsupportedDtype` naming file and tensor, `fileNotFound`
 */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  try {
    const real = await realpath(file);
    const handle = await open(real, nonBlockingRead);
    try {
      const { bytes, fileBytes } = await readHeaderBytes(handle, file);
      return {
        ...parseHeader(bytes, { file, real, dataStart: headerLengthBytes + bytes.byteLength, fileBytes }),
        fileBytes,
      };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileAccessError(error, file);
  }
}

async function readHeaderBytes(handle: FileHandle, file: string): Promise<{ bytes: Uint8Array; fileBytes: number }> {
  const stats = await handle.stat();
  if (!stats.isFile()) {
    throw malformed(file, undefined, 'This is not a regular file.');
  }
  if (stats.size < headerLengthBytes) {
    throw malformed(file, 'header length', `The file has ${stats.size} bytes, too few for a safetensors header.`);
  }
  const prefix = new Uint8Array(headerLengthBytes);
  await fillFromFile(handle, prefix, 0, file, 'header length');
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(stats.size - headerLengthBytes)) {
    const message = `The header claims ${length} bytes, but the file ends after ${stats.size - headerLengthBytes}.`;
    throw malformed(file, 'header length', message);
  }
  if (length > BigInt(maximumHeaderBytes)) {
    throw malformed(
      file,
      'header length',
      `The header claims ${length} bytes; at most ${maximumHeaderBytes} are allowed.`,
    );
  }
  const bytes = new Uint8Array(Number(length));
  await fillFromFile(handle, bytes, headerLengthBytes, file, 'header');
  return { bytes, fileBytes: stats.size };
}

/** Where the tensors of one file lie. */
interface DataRange {
  /** Path as the person knows it, for messages. */
  readonly file: string;
  /** Path with symbolic links resolved. */
  readonly real: string;
  readonly dataStart: number;
  readonly fileBytes: number;
}

function parseHeader(bytes: Uint8Array, range: DataRange): Pick<SafetensorsHeader, 'tensors' | 'metadata'> {
  const { file } = range;
  if (bytes[0] !== openBrace) {
    throw malformed(file, 'header', 'The header does not begin with a brace: this is no safetensors file.');
  }
  const header = parseJson(decodeUtf8(bytes, file, 'malformedSafetensors', 'header'), file, 'malformedSafetensors');
  if (!isJsonObject(header)) {
    throw malformed(file, 'header', 'The header is not a JSON object.');
  }
  const tensors = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, value]) => parseEntry(name, value, range));
  tensors.sort((left, right) => left.byteOffset - right.byteOffset || left.byteLength - right.byteLength);
  checkCoverage(tensors, range);
  return { tensors, metadata: parseMetadata(header[metadataKey], file) };
}

function parseEntry(name: string, value: unknown, { file, real, dataStart, fileBytes }: DataRange): TensorEntry {
  if (!isJsonObject(value)) {
    throw malformed(file, name, 'The tensor is not described by a JSON object.');
  }
  const dtype = parseDtype(value.dtype, file, name);
  const { shape, data_offsets: offsets } = value;
  if (!isSizeList(shape)) {
    throw malformed(file, name, 'The shape is not a list of non-negative integers.');
  }
  if (!isSizeList(offsets) || offsets.length !== 2) {
    throw malformed(file, name, 'data_offsets is not a pair of non-negative integers.');
  }
  const [begin, end] = offsets as readonly [number, number];
  if (begin > end) {
    throw malformed(file, name, `data_offsets [${begin}, ${end}] end before they begin.`);
  }
  if (end > fileBytes - dataStart) {
    const message = `data_offsets [${begin}, ${end}] reach beyond the ${fileBytes - dataStart} data bytes of the file.`;
    throw malformed(file, name, message, 'The file is probably truncated: download or copy it again.');
  }
  const expected = shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
  if (expected !== end - begin) {
    const message = `${dtype} of shape [${shape.join(', ')}] needs ${expected} bytes, but data_offsets hold ${end - begin}.`;
    throw malformed(file, name, message);
  }
  return { name, dtype, shape, file: real, byteOffset: dataStart + begin, byteLength: end - begin };
}

function parseDtype(value: unknown, file: string, name: string): Dtype {
  if (typeof value !== 'string') {
    throw malformed(file, name, 'The dtype is missing or not a text.');
  }
  if (!Object.hasOwn(dtypeBytes, value)) {
    throw new TunerError('unsupportedDtype', `The element type ${JSON.stringify(value)} is not supported.`, {
      file,
      place: name,
      wayOut: `Supported are ${Object.keys(dtypeBytes).join(', ')}.`,
    });
  }
  return value as Dtype;
}

/** The data must be covered without holes and overlaps; tensors come sorted by position. */
function checkCoverage(tensors: readonly TensorEntry[], { file, dataStart, fileBytes }: DataRange): void {
  let position = dataStart;
  let previous = 'the header';
  for (const { name, byteOffset, byteLength } of tensors) {
    if (byteOffset < position) {
      throw malformed(file, name, `The data of the tensor overlap those of ${previous}.`);
    }
    if (byteOffset > position) {
      throw malformed(
        file,
        name,
        `There is a hole of ${byteOffset - position} bytes between ${previous} and the tensor.`,
      );
    }
    position = byteOffset + byteLength;
    previous = name;
  }
  if (position !== fileBytes) {
    throw malformed(file, previous, `${fileBytes - position} bytes follow that belong to no tensor.`);
  }
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (value === undefined) {
    return {};
  }
  const entries = isJsonObject(value) ? Object.entries(value) : undefined;
  if (entries === undefined || !entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) {
    throw malformed(file, metadataKey, 'The metadata are not an object of texts.');
  }
  return Object.fromEntries(entries);
}

function isSizeList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function malformed(file: string, place: string | undefined, message: string, wayOut?: string): TunerError {
  const help = wayOut ?? 'Download or export the file again.';
  return new TunerError('malformedSafetensors', message, { file, place, wayOut: help });
}
