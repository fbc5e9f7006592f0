import { randomBytes } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { TunerError } from '../protocol/errors';
import { systemErrorCode } from './textFile';

/**
 * Writes a file so that readers see the old content or the complete new one, never a part: temporary name in the same
 * folder, flush to disk, rename. On failure the temporary file is deleted and an existing file stays as it was.
 * @param write fills the open temporary file; its errors pass through when they are TunerErrors
 * @throws TunerError `writeFailed` with the way out
 */
export async function writeAtomically(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeError(error, file);
  }
  await flushFolder(path.dirname(file));
}

/** Writes a text file as UTF-8; see {@link writeAtomically}. */
export async function writeFileAtomic(file: string, text: string): Promise<void> {
  await writeAtomically(file, (handle) => handle.writeFile(text, 'utf8'));
}

const waysOut: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space or write to another disk.',
  EDQUOT: 'Your disk quota is used up: free some space or write to another disk.',
  EFBIG: 'The file system does not hold files of this size: write to another disk.',
  EROFS: 'The file system is read-only: write to another place.',
  EACCES: 'You may not write here: choose another place or change the permissions.',
  EPERM: 'You may not write here: choose another place or change the permissions.',
  ENOENT: 'The folder does not exist: create it first.',
  ENOTDIR: 'A part of the path is not a folder: correct it.',
  EISDIR: 'There is a folder of this name: choose another name.',
};

/** A failed write as a sentence with the way out: `writeFailed`; TunerErrors pass through. */
export function writeError(error: unknown, file: string): TunerError {
  if (error instanceof TunerError) {
    return error;
  }
  const reason = error instanceof Error ? error.message : String(error);
  const wayOut = waysOut[systemErrorCode(error) ?? ''] ?? 'Check the disk and the path.';
  return new TunerError(
    'writeFailed',
    `The file could not be written (${reason}).`,
    { file, wayOut },
    { cause: error },
  );
}

/** Makes the rename itself durable. Some systems cannot flush folders; the content is safe without it. */
export async function flushFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!unsupportedFlush.has(systemErrorCode(error) ?? '')) {
      throw writeError(error, folder);
    }
  }
}

const unsupportedFlush: ReadonlySet<string> = new Set(['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF']);
