import { constants, createReadStream } from 'node:fs';
import { copyFile, link, open, rm } from 'node:fs/promises';
import type { CopiedFile, StreamedFile } from './artefactFiles';

/** How an existing file came into an artefact. */
export type Placement = 'clone' | 'link' | 'copy';

/** What writes an artefact's files: the disk, or a test's failing one. Paths are absolute; a file must not exist yet. */
export interface ArtefactOutput {
  writeText(file: string, text: string): Promise<void>;
  /** @param copied is told how many bytes of a copy are done; it may throw to end it */
  place(source: CopiedFile, file: string, copied: (bytes: number) => void): Promise<Placement>;
  /**
   * @param written is told how many bytes are done; it may throw to end it
   * @returns what flushes and closes the file; to be called once, so that the next file can be written meanwhile
   */
  stream(content: StreamedFile, file: string, written: (bytes: number) => void): Promise<() => Promise<void>>;
}

/** Bytes of a copy that are read at once. */
const chunkBytes = 8 * 2 ** 20;

/**
 * Weights that do not change take no time and no space where the file system shares blocks (clone) or names (hard link). A
 * symbolic link is never made: the artefact must live without its source.
 */
export const diskOutput: ArtefactOutput = {
  async writeText(file, text) {
    const handle = await open(file, 'wx');
    try {
      await handle.writeFile(text, 'utf8');
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async place({ source, shares }, file, copied) {
    if (await succeeds(() => copyFile(source, file, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL))) {
      return 'clone';
    }
    await rm(file, { force: true });
    // Across devices, on file systems without hard links, and for settings that a person may edit, the bytes are copied.
    if (shares && (await succeeds(() => link(source, file)))) {
      return 'link';
    }
    await copyBytes(source, file, copied);
    return 'copy';
  },
  async stream(content, file, written) {
    const handle = await open(file, 'wx');
    try {
      await content.stream(handle, written);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return async () => {
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    };
  },
};

async function succeeds(attempt: () => Promise<void>): Promise<boolean> {
  try {
    await attempt();
    return true;
  } catch {
    return false;
  }
}

/** Copies a file in chunks, so that it can be cancelled, and flushes it to the disk. */
export async function copyBytes(source: string, file: string, copied: (bytes: number) => void): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    let done = 0;
    for await (const chunk of createReadStream(source, { highWaterMark: chunkBytes })) {
      const bytes = chunk as Buffer;
      await handle.writeFile(bytes);
      done += bytes.length;
      copied(done);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
