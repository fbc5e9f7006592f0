import { open, type FileHandle } from 'node:fs/promises';
import { TunerError } from '../protocol/errors';
import { toFloat32 } from './convertDtype';
import { fileAccessError, nonBlockingRead } from './textFile';
import { dtypeBytes, type TensorEntry } from './types';

export { toFloat32 };

/** Bytes of one read call; the system refuses calls of 2 GiB and more. */
const readCallBytes = 256 * 2 ** 20;

/**
 * Bytes of a tensor, little-endian as stored, in memory of their own (aligned for every element type).
 * @throws TunerError `fileNotFound`, `malformedSafetensors` when the file became shorter, `outOfMemory`
 */
export async function readTensorBytes(entry: TensorEntry): Promise<Uint8Array> {
  const bytes = allocate(entry);
  await readTensorInto(entry, bytes);
  return bytes;
}

/** Fills `target` with the bytes of a tensor, as many as it has; errors as {@link readTensorBytes}. */
export async function readTensorInto(entry: TensorEntry, target: Uint8Array): Promise<void> {
  try {
    const handle = await open(entry.file, nonBlockingRead);
    try {
      await fillFromFile(handle, target, entry.byteOffset, entry.file, entry.name);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileAccessError(error, entry.file);
  }
}

/** Elements of a tensor as float32 in row-major order; errors as {@link readTensorBytes}. */
export async function readTensorFloat32(entry: TensorEntry): Promise<Float32Array> {
  return toFloat32(entry.dtype, await readTensorBytes(entry));
}

/** Fills `target` from `position` of the file. @throws TunerError `malformedSafetensors` when the file ends early */
export async function fillFromFile(
  handle: FileHandle,
  target: Uint8Array,
  position: number,
  file: string,
  place: string,
): Promise<void> {
  let filled = 0;
  while (filled < target.byteLength) {
    const length = Math.min(target.byteLength - filled, readCallBytes);
    const { bytesRead } = await handle.read(target, filled, length, position + filled);
    if (bytesRead === 0) {
      const message = `The file ends ${target.byteLength - filled} bytes too early.`;
      throw new TunerError('malformedSafetensors', message, {
        file,
        place,
        wayOut: 'Download or copy the file again.',
      });
    }
    filled += bytesRead;
  }
}

/**
 * A contiguous part of a tensor under a name of its own, for example one expert of a fused tensor.
 * @param byteOffset position of the part, relative to the start of the tensor
 * @param shape shape of the part
 * @throws TunerError `internal` when the part leaves the tensor
 */
export function sliceTensor(
  entry: TensorEntry,
  name: string,
  byteOffset: number,
  shape: readonly number[],
): TensorEntry {
  const byteLength = shape.reduce((product, size) => product * size, dtypeBytes[entry.dtype]);
  const inside = Number.isSafeInteger(byteOffset) && byteOffset >= 0 && byteOffset + byteLength <= entry.byteLength;
  if (!inside || byteOffset % dtypeBytes[entry.dtype] !== 0) {
    const message = `The part [${shape.join(', ')}] at byte ${byteOffset} leaves the tensor of ${entry.byteLength} bytes.`;
    throw new TunerError('internal', message, { file: entry.file, place: entry.name });
  }
  return { ...entry, name, shape, byteOffset: entry.byteOffset + byteOffset, byteLength };
}

/**
 * Refuses weights that hold NaN or infinity, which would turn every later number into NaN.
 * @param values elements of the tensor in row-major order
 * @throws TunerError `nonFiniteWeights` naming the tensor and the position of the first such element
 */
export function assertFinite(entry: TensorEntry, values: Float32Array): void {
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at]!;
    if (value - value !== 0) {
      throw new TunerError('nonFiniteWeights', `The weight is ${value}, so the model computes no usable output.`, {
        file: entry.file,
        place: `${entry.name}[${coordinates(at, entry.shape).join(', ')}]`,
        wayOut: 'Download or export the checkpoint again.',
      });
    }
  }
}

function coordinates(position: number, shape: readonly number[]): number[] {
  const result: number[] = [];
  let rest = position;
  for (const size of [...shape].reverse()) {
    result.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return result;
}

function allocate(entry: TensorEntry): Uint8Array {
  try {
    // Not the shared pool, so that the bytes start aligned and belong to the caller alone; not zeroed, as all are read.
    const buffer = Buffer.allocUnsafeSlow(entry.byteLength);
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  } catch (cause) {
    const message = `There is no memory for a tensor of ${entry.byteLength} bytes.`;
    throw new TunerError('outOfMemory', message, { file: entry.file, place: entry.name }, { cause });
  }
}
