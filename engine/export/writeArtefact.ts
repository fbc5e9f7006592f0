import { lstat, mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { flushFolder, writeError } from '../checkpoint/atomicFile';
import { systemErrorCode } from '../checkpoint/textFile';
import type { JobContext } from '../measure/jobContext';
import { cancelledError, TunerError } from '../protocol/errors';
import { predictedBytes, type ArtefactFile } from './artefactFiles';
import { diskOutput, type ArtefactOutput, type Placement } from './artefactOutput';
import { assertSpace } from './diskSpace';
import { claimFolder, partialFolder, releaseFolder, removeLeftovers } from './partialFolders';

/** What was written, and how the files that exist already came into it. */
export interface WrittenArtefact {
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly bytes: number;
  readonly placements: ReadonlySet<Placement>;
}

export interface WriteOptions {
  readonly job: JobContext;
  /** Looks at the complete files in their temporary folder; an error means that nothing is kept. */
  readonly verify: (folder: string) => Promise<void>;
  readonly output?: ArtefactOutput;
}

/** @throws TunerError `outputExists` where there is something of this name, even a dangling link */
export async function assertAbsent(folder: string): Promise<void> {
  try {
    await lstat(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') {
      return;
    }
    throw writeError(error, folder);
  }
  throw new TunerError('outputExists', 'There is already something of this name.', {
    file: folder,
    wayOut: 'Choose another name, or move it away first.',
  });
}

/**
 * Writes a folder so that it exists complete or not at all: everything goes into a temporary folder beside it, is flushed, checked
 * and renamed last. On failure and when cancelled the temporary folder is removed; one that a killed process left behind is
 * named `.NAME.….partial` and goes when the same name is written again.
 * @throws TunerError `outputExists`, `writeFailed`, `cancelled`, and what `verify` throws
 */
export async function writeArtefact(
  folder: string,
  files: readonly ArtefactFile[],
  { job, verify, output = diskOutput }: WriteOptions,
): Promise<WrittenArtefact> {
  await assertAbsent(folder);
  await removeLeftovers(folder);
  const temporary = partialFolder(folder);
  try {
    await mkdir(temporary);
    await claimFolder(temporary);
    await assertSpace(folder, files);
    const placements = await writeFiles(temporary, files, output, job);
    const written = await measureFiles(temporary, files);
    await verify(temporary);
    assertGoesOn(job);
    await flushFolders(temporary, files);
    await assertAbsent(folder);
    await releaseFolder(temporary);
    await rename(temporary, folder);
    await flushFolder(path.dirname(folder));
    return { files: written, bytes: written.reduce((sum, { bytes }) => sum + bytes, 0), placements };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    await releaseFolder(temporary).catch(() => undefined);
    throw writeError(error, folder);
  }
}

async function writeFiles(
  folder: string,
  files: readonly ArtefactFile[],
  output: ArtefactOutput,
  job: JobContext,
): Promise<Set<Placement>> {
  const total = Math.max(
    1,
    files.reduce((sum, file) => sum + predictedBytes(file), 0),
  );
  const placements = new Set<Placement>();
  const flushes = new Flushes();
  let before = 0;
  try {
    // Files about the others come after them.
    for (const file of [...files].sort((left, right) => Number('closing' in left) - Number('closing' in right))) {
      assertGoesOn(job);
      job.progress(before / total, `Writing ${file.name}`);
      const place = path.join(folder, ...file.name.split('/'));
      await mkdir(path.dirname(place), { recursive: true });
      const start = before;
      const goesOn = (verb: string) => (bytes: number) => {
        assertGoesOn(job);
        job.progress((start + bytes) / total, `${verb} ${file.name}`);
      };
      if ('text' in file) {
        await output.writeText(place, file.text);
      } else if ('closing' in file) {
        await output.writeText(place, await file.closing(folder));
      } else if ('stream' in file) {
        await flushes.add(await output.stream(file, place, goesOn('Writing')));
      } else {
        placements.add(await output.place(file, place, goesOn('Copying')));
      }
      before += predictedBytes(file);
    }
  } finally {
    await flushes.end();
  }
  return placements;
}

/** Flushes files one after the other while later ones are written. */
class Flushes {
  private last: Promise<void> = Promise.resolve();

  /** Starts a flush when the one before it is done; waits for that one, so that at most one file is unflushed. */
  async add(flush: () => Promise<void>): Promise<void> {
    const before = this.last;
    this.last = before.then(flush, async (error: unknown) => {
      await flush().catch(() => undefined);
      throw error;
    });
    // Whoever waits next gets a failure.
    this.last.catch(() => undefined);
    await before;
  }

  async end(): Promise<void> {
    await this.last;
  }
}

/** Sizes as they lie on disk. @throws TunerError `writeFailed` where they are not the predicted ones */
async function measureFiles(
  folder: string,
  files: readonly ArtefactFile[],
): Promise<{ readonly name: string; readonly bytes: number }[]> {
  const written: { readonly name: string; readonly bytes: number }[] = [];
  for (const file of files) {
    const { size } = await stat(path.join(folder, ...file.name.split('/')));
    if (size !== predictedBytes(file)) {
      throw new TunerError(
        'writeFailed',
        `${size} bytes were written instead of the ${predictedBytes(file)} predicted.`,
        {
          file: path.join(folder, file.name),
          wayOut: 'Something else changes the checkpoint or the disk: end it and try again.',
        },
      );
    }
    written.push({ name: file.name, bytes: size });
  }
  return written;
}

function assertGoesOn(job: JobContext): void {
  if (job.signal.aborted) {
    throw cancelledError();
  }
}

async function flushFolders(folder: string, files: readonly ArtefactFile[]): Promise<void> {
  const inner = new Set(files.map(({ name }) => path.dirname(path.join(folder, ...name.split('/')))));
  for (const each of new Set([...inner, folder])) {
    await flushFolder(each);
  }
}
