import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { TunerError } from '../protocol/errors';
import { fileAccessError } from './textFile';

/** A checkpoint folder as the person gave it, for messages, and with symbolic links resolved, for checks. */
export interface CheckpointFolder {
  readonly shown: string;
  readonly real: string;
}

/** @throws TunerError `fileNotFound` */
export async function resolveFolder(folder: string): Promise<CheckpointFolder> {
  try {
    return { shown: folder, real: await realpath(folder) };
  } catch (error) {
    throw fileAccessError(error, folder);
  }
}

/**
 * Real path of a file that a checkpoint folder names, which must lie inside the folder. The cache of the Hugging Face hub
 * is the one exception: there `models--NAME/snapshots/REVISION/FILE` links to `models--NAME/blobs/HASH`.
 * @param realFolder the folder with symbolic links resolved
 * @throws TunerError `fileNotFound`, `pathEscapesFolder`
 */
export async function resolveInside(folder: CheckpointFolder, relative: string): Promise<string> {
  const file = path.join(folder.shown, relative);
  let real: string;
  try {
    real = await realpath(file);
  } catch (error) {
    throw fileAccessError(error, file);
  }
  if (!isInside(folder.real, real) && path.dirname(real) !== hubBlobsFolder(folder.real)) {
    throw new TunerError(
      'pathEscapesFolder',
      `The file is a symbolic link to ${real}, outside the checkpoint folder.`,
      {
        file,
        wayOut: 'Copy the file into the folder if you trust it.',
      },
    );
  }
  return real;
}

/**
 * Refuses a file name from an index that could lead out of the folder, before anything is opened.
 * @throws TunerError `pathEscapesFolder` naming the index file and the tensor
 */
export function assertRelativeInside(name: string, file: string, place: string): void {
  const absolute = path.posix.isAbsolute(name) || path.win32.isAbsolute(name) || /^[A-Za-z]:/.test(name);
  if (absolute || /[\\\0]/.test(name) || name.split('/').includes('..')) {
    throw new TunerError('pathEscapesFolder', `The index names ${JSON.stringify(name)}, which may leave the folder.`, {
      file,
      place,
      wayOut: 'A checkpoint may name only files of its own folder: do not use it unless you trust its source.',
    });
  }
}

function isInside(folder: string, file: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && !path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..';
}

/** The `blobs` folder that belongs to a snapshot folder of the hub cache, or a folder inside a snapshot. */
function hubBlobsFolder(realFolder: string): string | undefined {
  for (let folder = realFolder; path.dirname(folder) !== folder; folder = path.dirname(folder)) {
    const snapshots = path.dirname(folder);
    const model = path.dirname(snapshots);
    if (path.basename(snapshots) === 'snapshots' && path.basename(model).startsWith('models--')) {
      return path.join(model, 'blobs');
    }
  }
  return undefined;
}
