import { readFileSync } from 'node:fs';
import { decodeSuperBlock, float16 } from './superBlockReader';

/**
 * A reader of GGUF files that shares no code with the engine and forgives nothing: version 3, little-endian, as docs/gguf.md of ggml
 * describes the format.
 */

/** Name, weights and bytes of a block by the number of the type. */
const types: Readonly<Record<number, readonly [string, number, number]>> = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  30: ['BF16', 1, 2],
  39: ['MXFP4', 32, 17],
};

export interface GgufTensor {
  readonly type: string;
  /** The dimension that changes fastest first. */
  readonly shape: readonly number[];
  readonly data: Buffer;
}

export interface GgufFile {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Throws with the reason on the first violation. */
export function readGguf(file: string): GgufFile {
  const bytes = readFileSync(file);
  let at = 0;
  const take = (length: number) => {
    demand(at + length <= bytes.length, 'the file ends in its header');
    at += length;
    return at - length;
  };
  const uint32 = () => bytes.readUInt32LE(take(4));
  const uint64 = () => {
    const value = bytes.readBigUInt64LE(take(8));
    demand(value <= BigInt(Number.MAX_SAFE_INTEGER), 'a length beyond all files');
    return Number(value);
  };
  const text = () => {
    const length = uint64();
    const start = take(length);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, start + length));
  };
  const value = (type: number): unknown => {
    switch (type) {
      case 4:
        return uint32();
      case 5:
        return bytes.readInt32LE(take(4));
      case 6:
        return bytes.readFloatLE(take(4));
      case 7: {
        const flag = bytes[take(1)];
        demand(flag === 0 || flag === 1, 'a truth value that is neither');
        return flag === 1;
      }
      case 8:
        return text();
      case 9: {
        const element = uint32();
        demand(element !== 9, 'lists of lists');
        return Array.from({ length: uint64() }, () => value(element));
      }
      default:
        throw new Error(`value type ${type}`);
    }
  };
  demand(bytes.toString('latin1', take(4), at) === 'GGUF', 'no GGUF file');
  demand(uint32() === 3, 'another version than 3');
  const tensorCount = uint64();
  const keyCount = uint64();
  const metadata = new Map<string, unknown>();
  for (let key = 0; key < keyCount; key += 1) {
    const name = text();
    demand(!metadata.has(name) && /^[a-z0-9_.-]+$/.test(name), `the key ${name} is twice there or malformed`);
    metadata.set(name, value(uint32()));
  }
  const alignment = metadata.get('general.alignment') ?? 32;
  demand(typeof alignment === 'number' && alignment % 8 === 0 && alignment > 0, 'the alignment');
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text();
    demand(Buffer.byteLength(name) <= 63, `the name ${name} is too long`);
    const shape = Array.from({ length: uint32() }, uint64);
    demand(shape.length >= 1 && shape.length <= 4 && shape.every((size) => size > 0), `the shape of ${name}`);
    const type = types[uint32()];
    if (type === undefined) {
      throw new Error(`the type of ${name}`);
    }
    return { name, shape, type, offset: uint64() };
  });
  const aligned = (position: number) => Math.ceil(position / alignment) * alignment;
  const zeros = (from: number, to: number) => bytes.subarray(from, to).every((byte) => byte === 0);
  const start = aligned(at);
  demand(zeros(at, start), 'padding that is not zero');
  const tensors = new Map<string, GgufTensor>();
  let end = start;
  for (const { name, shape, type, offset } of infos) {
    const [typeName, weights, width] = type;
    demand(!tensors.has(name), `${name} is there twice`);
    demand(start + offset === aligned(end) && zeros(end, start + offset), `the place of ${name}`);
    demand(shape[0]! % weights === 0, `blocks do not divide the rows of ${name}`);
    const length = (shape.reduce((product, size) => product * size, 1) / weights) * width;
    end = start + offset + length;
    demand(end <= bytes.length, `${name} is cut off`);
    tensors.set(name, { type: typeName, shape, data: bytes.subarray(start + offset, end) });
  }
  demand(bytes.length === aligned(end) && zeros(end, bytes.length), 'something behind the tensors');
  return { metadata, tensors };
}

/** Weights of a tensor one by one, from the definitions of the types. */
export function decodeGguf({ type, data }: GgufTensor): Float64Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [, weights, width] = Object.values(types).find(([name]) => name === type)!;
  return Float64Array.from({ length: (data.length / width) * weights }, (_, at) => {
    const block = Math.floor(at / weights) * width;
    const inBlock = at % weights;
    // In 4 bits the first half of the block lies in the low halves of the bytes.
    const nibble = (from: number) => (view.getUint8(block + from + (inBlock % 16)) >> (inBlock < 16 ? 0 : 4)) & 15;
    const half = (from: number) => float16(view.getUint16(from, true));
    switch (type) {
      case 'F32':
        return view.getFloat32(block, true);
      case 'BF16':
        return bfloat16(view.getUint16(block, true));
      case 'F16':
        return float16(view.getUint16(block, true));
      case 'Q4_0':
        return (nibble(2) - 8) * float16(view.getUint16(block, true));
      case 'Q4_1':
        return nibble(4) * float16(view.getUint16(block, true)) + float16(view.getUint16(block + 2, true));
      case 'Q5_0':
        return (nibble(6) + 16 * fifth(view.getUint32(block + 2, true), inBlock) - 16) * half(block);
      case 'Q5_1':
        return (nibble(8) + 16 * fifth(view.getUint32(block + 4, true), inBlock)) * half(block) + half(block + 2);
      case 'Q2_K':
      case 'Q3_K':
      case 'Q4_K':
      case 'Q5_K':
      case 'Q6_K':
        return decodeSuperBlock(type, data.subarray(block, block + width), inBlock);
      case 'Q8_0':
        return view.getInt8(block + 2 + inBlock) * float16(view.getUint16(block, true));
      default:
        return mxfp4[nibble(1)]! * 2 ** (view.getUint8(block) - 127);
    }
  });
}

/** The fifth bit of a weight, of the 32 bits of a block. */
const fifth = (bits: number, weight: number) => (bits >>> weight) & 1;

/** Values of the 4-bit float E2M1, sign in the top bit. */
const mxfp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** Value of bfloat16 bits: the upper half of a float32. */
function bfloat16(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}

function demand(holds: boolean, problem: string): asserts holds {
  if (!holds) {
    throw new Error(`GGUF: ${problem}`);
  }
}
