import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { PlannedGguf } from '../export/gguf/planGguf';
import { padding } from '../export/gguf/ggufHeader';
import type { JobContext } from '../measure/jobContext';
import { cancelledError, TunerError } from '../protocol/errors';
import type { TensorPiece } from '../transform/tensorRewrite';
import { holdsRounded } from './verifyRounded';

/** Bytes of a copied range that are compared at its start. */
const sampleBytes = 65536;

/**
 * Reads a written GGUF file back: its length, its header, everything that was rounded while it was written, and of every other tensor
 * the first and the last matrix, byte for byte.
 * @throws TunerError `writeFailed` naming the first tensor that is different; `cancelled`
 */
export async function verifyGguf(
  folder: string,
  { file, header, tensors }: PlannedGguf,
  job: JobContext,
): Promise<void> {
  const name = path.join(folder, file.name);
  const handle = await open(name, 'r');
  try {
    const { size } = await handle.stat();
    if (size !== file.bytes) {
      throw refused(name, 'header', `it has ${size} bytes instead of ${file.bytes}`);
    }
    if (Buffer.compare(await readAt(handle, 0, header.byteLength), header) !== 0) {
      throw refused(name, 'header', 'its header holds other bytes than it should');
    }
    let position = header.byteLength;
    for (const [at, tensor] of tensors.entries()) {
      job.progress(at / tensors.length, 'Reading back');
      if (job.signal.aborted) {
        throw cancelledError();
      }
      const { pieces, byteLength } = tensor;
      let start = position;
      for (const [part, piece] of pieces.entries()) {
        const same =
          piece.kind === 'rounded'
            ? await holdsRounded(name, start, piece)
            : (part > 0 && part < pieces.length - 1) || (await holds(handle, start, piece));
        if (!same) {
          throw refused(name, tensor.name, 'a tensor holds other bytes than it should');
        }
        start += piece.byteLength;
      }
      position += byteLength + padding(byteLength);
    }
  } finally {
    await handle.close();
  }
}

async function holds(
  handle: FileHandle,
  position: number,
  piece: Exclude<TensorPiece, { kind: 'rounded' }>,
): Promise<boolean> {
  if (piece.kind === 'stored') {
    const length = Math.min(sampleBytes, piece.byteLength);
    const source = await open(piece.file, 'r');
    try {
      const expected = await readAt(source, piece.byteOffset, length);
      return Buffer.compare(await readAt(handle, position, length), expected) === 0;
    } finally {
      await source.close();
    }
  }
  let at = position;
  for await (const chunk of piece.produce()) {
    if (Buffer.compare(await readAt(handle, at, chunk.byteLength), chunk) !== 0) {
      return false;
    }
    at += chunk.byteLength;
  }
  return true;
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) {
      return bytes.subarray(0, done);
    }
    done += bytesRead;
  }
  return bytes;
}

function refused(file: string, place: string, problem: string): TunerError {
  return new TunerError('writeFailed', `The written GGUF file was not accepted: ${problem}.`, {
    file,
    place,
    wayOut: 'Check the disk, and write it again.',
  });
}
