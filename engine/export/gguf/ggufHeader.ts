import { TunerError } from '../../protocol/errors';
import { ggmlTypes, type GgmlType } from './ggmlTypes';

/** Numbers of the value types of metadata (docs/gguf.md of ggml, version 3). */
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** A value of the metadata. */
export type GgufValue =
  | { readonly type: 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s' | 'float32s'; readonly value: readonly number[] };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** What the header says of one tensor. */
export interface GgufTensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  /** The dimension that changes fastest first. */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** Tensor data and everything in it starts at multiples of this. */
export const alignment = 32;

/** Longest name that ggml keeps (GGML_MAX_NAME with its end mark). */
const longestName = 63;

/** Bytes to the next multiple of the alignment. */
export function padding(length: number): number {
  return (alignment - (length % alignment)) % alignment;
}

/**
 * Everything of a GGUF file (version 3, little-endian) before its tensor data, filled up to the alignment. Tensors follow in the
 * given order, each filled up likewise.
 * @throws TunerError `internal` for names that ggml cannot hold
 */
export function ggufHeader(metadata: GgufMetadata, tensors: readonly GgufTensorInfo[]): Uint8Array {
  const output = new ByteWriter();
  output.raw(Buffer.from('GGUF', 'latin1'));
  output.uint32(3);
  output.uint64(tensors.length);
  output.uint64(metadata.size);
  for (const [key, value] of metadata) {
    output.string(key);
    writeValue(output, value);
  }
  let offset = 0;
  for (const { name, type, shape, byteLength } of tensors) {
    if (Buffer.byteLength(name, 'utf8') > longestName) {
      throw new TunerError('internal', `ggml cannot hold the tensor name ${name}.`);
    }
    output.string(name);
    output.uint32(shape.length);
    shape.forEach((size) => output.uint64(size));
    output.uint32(ggmlTypes[type].id);
    output.uint64(offset);
    offset += byteLength + padding(byteLength);
  }
  output.raw(Buffer.alloc(padding(output.length)));
  return output.bytes();
}

function writeValue(output: ByteWriter, { type, value }: GgufValue): void {
  switch (type) {
    case 'uint32':
    case 'int32':
    case 'float32':
      output.uint32(valueTypes[type]);
      output.number(type, value);
      return;
    case 'bool':
      output.uint32(valueTypes.bool);
      output.raw(Buffer.of(value ? 1 : 0));
      return;
    case 'string':
      output.uint32(valueTypes.string);
      output.string(value);
      return;
    case 'strings':
      writeArray(output, 'string', value.length);
      value.forEach((text) => output.string(text));
      return;
    case 'int32s':
    case 'float32s': {
      const element = type === 'int32s' ? 'int32' : 'float32';
      writeArray(output, element, value.length);
      value.forEach((number) => output.number(element, number));
    }
  }
}

function writeArray(output: ByteWriter, element: 'string' | 'int32' | 'float32', length: number): void {
  output.uint32(valueTypes.array);
  output.uint32(valueTypes[element]);
  output.uint64(length);
}

/** Grows by doubling: vocabularies have some hundred thousand entries. */
class ByteWriter {
  private buffer = Buffer.alloc(65536);
  length = 0;

  uint32(value: number): void {
    this.number('uint32', value);
  }

  uint64(value: number): void {
    this.room(8);
    this.buffer.writeBigUInt64LE(BigInt(value), this.length);
    this.length += 8;
  }

  number(type: 'uint32' | 'int32' | 'float32', value: number): void {
    this.room(4);
    if (type === 'uint32') {
      this.buffer.writeUInt32LE(value, this.length);
    } else if (type === 'int32') {
      this.buffer.writeInt32LE(value, this.length);
    } else {
      this.buffer.writeFloatLE(value, this.length);
    }
    this.length += 4;
  }

  string(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.uint64(bytes.length);
    this.raw(bytes);
  }

  raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private room(wanted: number): void {
    if (this.length + wanted > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(2 * this.buffer.length, this.length + wanted));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
  }
}
