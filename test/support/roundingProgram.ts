import { rm } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll } from 'vitest';
import { root, testResults } from '../../scripts/support/paths.mjs';

/**
 * The program of the threads that round, bundled from the sources for the tests of the calling file: engines in tests are not bundled,
 * so that they would round in one thread.
 * @returns its path, once the tests run
 */
export function buildRoundingProgram(): () => string {
  const folder = path.join(testResults, `rounding-${process.pid}`);
  const outfile = path.join(folder, 'roundingWorker.cjs');
  beforeAll(async () => {
    await build({
      entryPoints: [path.join(root, 'engine', 'roundingWorker.ts')],
      bundle: true,
      platform: 'node',
      outfile,
      logLevel: 'error',
    });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return () => outfile;
}
