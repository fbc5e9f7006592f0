import { TunerError } from '../protocol/errors';
import { dtypeBytes, type Dtype } from './types';

/**
 * Elements of a safetensors dtype as float32. Exact for every float of up to 32 bits; F64 and wide integers are rounded.
 * @param bytes little-endian elements, any alignment; never modified. An F32 result may share its memory.
 */
export function toFloat32(dtype: Dtype, bytes: Uint8Array): Float32Array {
  const width = dtypeBytes[dtype];
  if (bytes.byteLength % width !== 0) {
    throw new TunerError('internal', `${bytes.byteLength} bytes are no whole number of ${dtype} elements.`);
  }
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  const count = aligned.byteLength / width;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, count);
    case 'BF16':
      return fromBfloat16(new Uint16Array(buffer, byteOffset, count));
    case 'F16':
      return fromTable(new Uint16Array(buffer, byteOffset, count), halfTable());
    case 'F8_E4M3':
      return fromTable(aligned, e4m3Table());
    case 'F8_E5M2':
      return fromTable(aligned, e5m2Table());
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, count));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, count), Number);
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer, byteOffset, count), Number);
    case 'I32':
      return Float32Array.from(new Int32Array(buffer, byteOffset, count));
    case 'U32':
      return Float32Array.from(new Uint32Array(buffer, byteOffset, count));
    case 'I16':
      return Float32Array.from(new Int16Array(buffer, byteOffset, count));
    case 'U16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count));
    case 'I8':
      return Float32Array.from(new Int8Array(buffer, byteOffset, count));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(aligned);
  }
}

/** bfloat16 is the upper half of a float32. */
function fromBfloat16(source: Uint16Array): Float32Array {
  const bits = new Uint32Array(source.length);
  for (let at = 0; at < source.length; at += 1) {
    bits[at] = source[at]! << 16;
  }
  return new Float32Array(bits.buffer);
}

/** The table holds float32 bit patterns: copying integers keeps every NaN payload and is the fastest form. */
function fromTable(source: Uint8Array | Uint16Array, table: Uint32Array): Float32Array {
  const bits = new Uint32Array(source.length);
  for (let at = 0; at < source.length; at += 1) {
    bits[at] = table[source[at]!]!;
  }
  return new Float32Array(bits.buffer);
}

interface FloatFormat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** Whether the highest exponent means infinity and NaN (IEEE), or only all ones mean NaN ("finite" formats). */
  readonly hasInfinity: boolean;
}

const halfTable = lazyTable({ exponentBits: 5, mantissaBits: 10, hasInfinity: true });
const e4m3Table = lazyTable({ exponentBits: 4, mantissaBits: 3, hasInfinity: false });
const e5m2Table = lazyTable({ exponentBits: 5, mantissaBits: 2, hasInfinity: true });

function lazyTable(format: FloatFormat): () => Uint32Array {
  let table: Uint32Array | undefined;
  return () => (table ??= buildTable(format));
}

/** Bit patterns of the float32 values of every element of a small float format. */
function buildTable({ exponentBits, mantissaBits, hasInfinity }: FloatFormat): Uint32Array {
  const count = 2 ** (1 + exponentBits + mantissaBits);
  const highest = 2 ** exponentBits - 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  const values = new Float32Array(count);
  for (let element = 0; element < count; element += 1) {
    const sign = element >= count / 2 ? -1 : 1;
    const exponent = (element >> mantissaBits) & highest;
    const mantissa = element & (2 ** mantissaBits - 1);
    const fraction = mantissa / 2 ** mantissaBits;
    if (exponent === highest && hasInfinity) {
      values[element] = mantissa === 0 ? sign * Infinity : NaN;
    } else if (exponent === highest && mantissa === 2 ** mantissaBits - 1) {
      values[element] = NaN;
    } else {
      values[element] =
        exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
    }
  }
  return new Uint32Array(values.buffer);
}
