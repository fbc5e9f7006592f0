import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root folder of the project. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Everything a run leaves behind for people to look at: screenshots, logs, JSON reports. */
export const testResults = join(root, 'test-results');

/** Sample checkpoint that ships with the extension. */
export const sample = join(root, 'media', 'sample');

/** Downloads shared by all clones of the project; each tool keeps a folder of its own version in it. */
export const toolCache = process.env.MOE_TUNER_TOOL_CACHE ?? join(cacheHome(), 'moe-tuner-tools');

function cacheHome() {
  if (process.env.XDG_CACHE_HOME) {
    return process.env.XDG_CACHE_HOME;
  }
  if (process.platform === 'win32' && process.env.LOCALAPPDATA) {
    return process.env.LOCALAPPDATA;
  }
  return join(homedir(), '.cache');
}
