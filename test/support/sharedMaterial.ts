import { existsSync } from 'node:fs';
import path from 'node:path';

/** Folder of the checkpoints and references that are too large for the repository; a clone does not have it. */
const sharedFolder = path.resolve(__dirname, '../../../shared');

/** Path of a file or folder of the shared material, or undefined, said loudly, where it is absent. */
export function sharedPath(relative: string): string | undefined {
  const found = path.join(sharedFolder, relative);
  if (existsSync(found)) {
    return found;
  }
  console.warn(`SKIPPED: the tests that need ${found} do not run, because it does not exist.`);
  return undefined;
}
