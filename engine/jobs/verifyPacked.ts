import { openCheckpoint } from '../checkpoint/openCheckpoint';
import { readTensorBytes } from '../checkpoint/readTensor';
import type { JobContext } from '../measure/jobContext';
import { cancelledError, TunerError } from '../protocol/errors';
import { byteLengthOf, type RewrittenTensor } from '../transform/tensorRewrite';
import { holdsRounded } from './verifyRounded';

/**
 * Opens a written folder with packed experts and compares every computed tensor, byte for byte, with what it should hold.
 * @throws TunerError `writeFailed` naming the first tensor that is missing or different; `cancelled`
 */
export async function verifyPacked(
  folder: string,
  tensors: readonly RewrittenTensor[],
  job: JobContext,
): Promise<void> {
  const { tensors: written } = await openCheckpoint(folder);
  if (written.size !== tensors.length) {
    throw refused(folder, '', `it has ${written.size} tensors instead of ${tensors.length}`);
  }
  for (const [at, { name, dtype, shape, pieces, original }] of tensors.entries()) {
    const entry = written.get(name);
    if (entry?.dtype !== dtype || entry.shape.join() !== shape.join() || entry.byteLength !== byteLengthOf(pieces)) {
      throw refused(folder, name, 'a tensor is missing or has another shape');
    }
    // What lies in the checkpoint is copied; codes of calibrated plans lie in files of their own.
    const kept = pieces.every((piece) => piece.kind === 'stored' && piece.file === original.file);
    if (kept) {
      continue;
    }
    job.progress(at / tensors.length, 'Reading back');
    if (job.signal.aborted) {
      throw cancelledError();
    }
    const [only] = pieces;
    if (only?.kind === 'rounded') {
      if (!(await holdsRounded(entry.file, entry.byteOffset, only))) {
        throw refused(folder, name, 'a tensor holds other bytes than it should');
      }
      continue;
    }
    const bytes = await readTensorBytes(entry);
    let position = 0;
    for (const piece of pieces) {
      if (piece.kind === 'rounded') {
        throw new TunerError('internal', 'A packed tensor has one piece.', { place: name });
      }
      if (piece.kind === 'stored') {
        const expected = await readTensorBytes({ ...original, ...piece });
        if (Buffer.compare(bytes.subarray(position, position + piece.byteLength), expected) !== 0) {
          throw refused(folder, name, 'a tensor holds other bytes than it should');
        }
        position += piece.byteLength;
        continue;
      }
      for await (const chunk of piece.produce()) {
        if (Buffer.compare(bytes.subarray(position, position + chunk.byteLength), chunk) !== 0) {
          throw refused(folder, name, 'a tensor holds other bytes than it should');
        }
        position += chunk.byteLength;
      }
    }
  }
}

function refused(folder: string, name: string, problem: string): TunerError {
  return new TunerError('writeFailed', `The written checkpoint was not accepted: ${problem}.`, {
    file: folder,
    place: name,
    wayOut: 'Check the disk, and write it again.',
  });
}
