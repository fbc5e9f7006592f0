import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/** A new empty folder (real path) that is deleted when the running test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'moe-tuner-test-')));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
