import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { mustRun } from './run.mjs';

/** Installs the packages of package-lock.json where node_modules lacks any of them. Uses Node alone. */
export async function ensureDependencies() {
  const reason = whatIsMissing(root);
  if (reason === undefined) {
    return;
  }
  console.log(`Installing packages (${reason}) …`);
  await mustRun('npm', ['ci', '--no-audit', '--no-fund']);
}

/**
 * Compares what package-lock.json asks for with what npm recorded in node_modules.
 * @param {string} folder
 * @returns {string | undefined} The first difference, or undefined when everything is installed.
 */
export function whatIsMissing(folder) {
  const installedFile = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) {
    return 'node_modules is missing';
  }
  const wanted = readLock(join(folder, 'package-lock.json'));
  const installed = readLock(installedFile);
  for (const [path, entry] of Object.entries(wanted)) {
    const found = installed[path];
    if (path === '' || (found === undefined && entry.optional)) {
      continue;
    }
    if (found?.version !== entry.version) {
      return `${path.replace(/^node_modules\//, '')} ${entry.version} is missing`;
    }
  }
  return undefined;
}

/** @param {string} file */
function readLock(file) {
  /** @type {{ packages: Record<string, { version?: string, optional?: boolean }> }} */
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  return lock.packages;
}
