import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { systemErrorCode } from '../checkpoint/textFile';

/** Name of the file that says who writes a folder, as long as it is incomplete. */
const ownerName = '.moe-tuner-writer.json';

const ownerSchema = z.object({ host: z.string(), process: z.number().int() });

/** Folders that this process is writing. */
const active = new Set<string>();

/** A name for the incomplete form of a folder, beside it, so that it can be renamed at the end. */
export function partialFolder(folder: string): string {
  return path.join(path.dirname(folder), `.${path.basename(folder)}.${randomBytes(6).toString('hex')}.partial`);
}

/** Marks an incomplete folder as being written by this process. */
export async function claimFolder(partial: string): Promise<void> {
  active.add(partial);
  await writeFile(path.join(partial, ownerName), JSON.stringify({ host: os.hostname(), process: process.pid }));
}

/** Takes the mark away: the folder is complete. */
export async function releaseFolder(partial: string): Promise<void> {
  await rm(path.join(partial, ownerName), { force: true });
  active.delete(partial);
}

/**
 * Removes incomplete forms of a folder that killed processes left behind. Those that a living process writes stay, as do those of
 * other machines, whose processes cannot be seen from here.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  const parent = path.dirname(folder);
  const [before, after] = [`.${path.basename(folder)}.`, '.partial'];
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const random = name.slice(before.length, -after.length);
    if (name.startsWith(before) && name.endsWith(after) && /^[0-9a-f]{12}$/.test(random)) {
      const partial = path.join(parent, name);
      if (await isAbandoned(partial)) {
        await rm(partial, { recursive: true, force: true });
      }
    }
  }
}

async function isAbandoned(partial: string): Promise<boolean> {
  if (active.has(partial)) {
    return false;
  }
  let text: string;
  try {
    text = await readFile(path.join(partial, ownerName), 'utf8');
  } catch (error) {
    // The mark comes first and goes last: without it the process died at one of the two ends.
    return systemErrorCode(error) === 'ENOENT';
  }
  const owner = ownerSchema.safeParse(parseOrUndefined(text));
  return !owner.success || (owner.data.host === os.hostname() && !isAlive(owner.data.process));
}

/** Our own process is known not to write the folder: then the mark is of an earlier process with the same number. */
function isAlive(id: number): boolean {
  if (id === process.pid) {
    return false;
  }
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
