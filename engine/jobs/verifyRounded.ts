import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { fillFromFile } from '../checkpoint/readTensor';
import { fileAccessError } from '../checkpoint/textFile';
import { TunerError } from '../protocol/errors';
import type { RoundedPiece } from '../transform/tensorRewrite';

/**
 * Reads back what was rounded while it was written, and compares it with the digests of what was computed.
 * @param position of the piece in the file
 * @throws TunerError `internal` where it was never written
 */
export async function holdsRounded(file: string, position: number, { parts, form }: RoundedPiece): Promise<boolean> {
  const place = parts.weight.codes.name;
  try {
    const handle = await open(file, 'r');
    try {
      for (let at = 0; at < parts.count; at += 1) {
        const digest = parts.digest(at, form);
        if (digest === undefined) {
          throw new TunerError('internal', 'A weight was not written.', { file, place });
        }
        const bytes = Buffer.allocUnsafe(parts.byteLength(at, form));
        await fillFromFile(handle, bytes, position + parts.offset(at, form), file, place);
        if (crc32(bytes) !== digest) {
          return false;
        }
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileAccessError(error, file);
  }
  return true;
}
