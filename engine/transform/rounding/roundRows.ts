import { crc32 } from 'node:zlib';
import { fromFloat32 } from '../../checkpoint/encodeDtype';
import { readTensorFloat32, readTensorInto, sliceTensor } from '../../checkpoint/readTensor';
import { dtypeBytes, type TensorEntry } from '../../checkpoint/types';
import type { WeightRounding } from '../../families/specification';
import { codeBlocks } from '../../methods/quantize/ggmlBlocks';
import { halfQuadratic } from '../../methods/quantize/hqq';
import { packColumns, packRows } from '../../methods/quantize/int32Packing';
import { packBfloat16 } from '../../methods/quantize/packBfloat16';
import { packCodes, unpackCodes } from '../../methods/quantize/packCodes';
import { roundToNearest } from '../../methods/quantize/roundToNearest';
import type { StoredCodes } from '../../methods/quantize/storedCodes';
import { TunerError } from '../../protocol/errors';
import { readLinear, separateRows } from '../readWeight';
import { decodeCodes } from './decodeCodes';
import type { RoundedBytes, RoundedForm, RoundingTask } from './roundingTask';

/** Buffers of finished reads, so that the system need not map fresh memory for every task. */
const spareBuffers: Uint8Array[] = [];
const mostSpareBuffers = 2;

/** What a {@link RoundingTask} asks for, computed in this thread; errors as `Rounder.run`. */
export async function roundRows(task: RoundingTask): Promise<RoundedBytes[]> {
  const stored = await storedCodes(task);
  return task.forms.map((form) => {
    const bytes = encode(stored, form);
    return { bytes, digest: crc32(bytes) };
  });
}

/** The plain tensor whose rows are those of the rounded weight, where there is one: only these can be read in parts. */
export function rowEntry({ source, half }: WeightRounding): TensorEntry | undefined {
  const { weight, orientation } = source;
  if (weight.storage !== 'plain' || orientation !== 'output-major' || half?.arrangement === 'interleaved') {
    return undefined;
  }
  const { entry } = weight;
  if (half === undefined) {
    return entry;
  }
  const start = half.which === 'gate' ? 0 : entry.byteLength / 2;
  return sliceTensor(entry, `${entry.name} (${half.which})`, start, [source.outputSize / 2, source.inputSize]);
}

async function storedCodes({ weight, from, to }: RoundingTask): Promise<StoredCodes> {
  const { rounding, group, columns, bits: width } = weight;
  if (rounding === undefined) {
    throw new TunerError('internal', 'A weight that lies in files is not rounded again.');
  }
  const rows = to - from;
  const shape = { bits: width, group, rows, columns };
  const { method, bits, symmetric } = rounding;
  const entry = rowEntry(rounding);
  const part =
    entry === undefined
      ? undefined
      : sliceTensor(entry, entry.name, from * columns * dtypeBytes[entry.dtype], [rows, columns]);
  if (method === 'rtn' && symmetric && (bits === 4 || bits === 8) && part?.dtype === 'BF16' && group % 2 === 0) {
    return withBytes(part, (bytes) => {
      const { codes, scales } = packBfloat16(new Uint16Array(bytes.buffer, 0, rows * columns), group, bits);
      return { ...shape, packed: codes, scales };
    });
  }
  const values = part === undefined ? await gatherRows(rounding, from, to, columns) : await readTensorFloat32(part);
  const round = { rtn: roundToNearest, hqq: halfQuadratic }[method];
  const matrix = round({ values, rows, columns }, { bits, group, symmetric });
  const { scales } = matrix;
  // The zero of codes that are stored in more bits is not the middle of those.
  const middles = () => new Uint8Array(scales.length).fill(2 ** (bits - 1));
  const zeroPoints = matrix.zeroPoints ?? (bits === width ? undefined : middles());
  return { ...shape, packed: packCodes(matrix.codes, width), scales, zeroPoints };
}

/** Rows of a matrix that has to be decoded or turned as a whole first. */
async function gatherRows(
  { source, half }: WeightRounding,
  from: number,
  to: number,
  columns: number,
): Promise<Float32Array> {
  const whole = await readLinear(source);
  const rows =
    half === undefined ? whole : separateRows(whole, columns, half.arrangement)[half.which === 'gate' ? 0 : 1];
  return rows.subarray(from * columns, to * columns);
}

/** Reads a tensor into a buffer that is used again afterwards: what `use` gives must not refer to it. */
async function withBytes<Result>(entry: TensorEntry, use: (bytes: Uint8Array) => Result): Promise<Result> {
  const spare = spareBuffers.pop();
  const whole = spare !== undefined && spare.byteLength >= entry.byteLength ? spare : new Uint8Array(entry.byteLength);
  const bytes = whole.subarray(0, entry.byteLength);
  await readTensorInto(entry, bytes);
  const result = use(bytes);
  if (spareBuffers.length < mostSpareBuffers) {
    spareBuffers.push(whole);
  }
  return result;
}

function encode(stored: StoredCodes, form: RoundedForm): Uint8Array {
  const { rows, columns, group, bits, packed, scales } = stored;
  // Centred codes have the same zero point everywhere.
  const zeroPoints = () => stored.zeroPoints ?? new Uint8Array(scales.length).fill(2 ** (bits - 1));
  switch (form.form) {
    case 'codes':
      return packed;
    case 'scales':
      return fromFloat32(form.dtype, scales);
    case 'zeroPoints':
      return zeroPoints();
    case 'codeWords':
      return packRows(unpackCodes(packed, bits), rows, columns, form.bits);
    case 'zeroPointWords':
      return packColumns(zeroPoints(), rows, columns / group, form.bits);
    case 'blocks':
      return codeBlocks(stored, form.type, form.factor);
    case 'values':
      return decodeCodes(stored, form.dtype, form.factor);
  }
}
