import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { TunerError } from '../protocol/errors';
import { predictedBytes, type ArtefactFile } from './artefactFiles';

/**
 * Refuses an artefact that cannot fit before hours are spent on it. Files that may share their bytes with others are not counted.
 * @param folder that will hold the files; the one around it exists
 * @throws TunerError `writeFailed`
 */
export async function assertSpace(folder: string, files: readonly ArtefactFile[]): Promise<void> {
  const needed = files
    .filter((file) => !('shares' in file && file.shares))
    .reduce((sum, file) => sum + predictedBytes(file), 0);
  const { bavail, bsize } = await statfs(path.dirname(folder));
  const free = bavail * bsize;
  if (needed > free) {
    throw new TunerError(
      'writeFailed',
      `${needed} bytes would be written, and ${free} are free: the disk is full before the end.`,
      { file: folder, wayOut: 'The disk is full: free some space or write to another disk.' },
    );
  }
}
