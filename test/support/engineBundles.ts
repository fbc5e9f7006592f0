import { existsSync, readdirSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { build } from '../../scripts/build.mjs';
import { root, testResults } from '../../scripts/support/paths.mjs';

export interface EngineBundles {
  readonly commandLine: string;
  readonly engine: string;
}

/** A build beside other tests on few cores takes its time. */
const buildMilliseconds = 180_000;

/** Bundles that must be newer than all sources to be taken as they are. */
const names = ['cli.js', 'engine.js', 'probe.js', 'roundingWorker.js'] as const;

/**
 * The bundles of the engine as they ship: those in dist where they are newer than every source file, else a build of the
 * sources for the tests of the calling file alone.
 */
export function useEngineBundles(): () => EngineBundles {
  let folder = path.join(root, 'dist');
  const own = path.join(testResults, `bundles-${process.pid}`);
  beforeAll(async () => {
    if (!isFresh(folder)) {
      folder = own;
      await build({ outdir: own, tests: false });
    }
  }, buildMilliseconds);
  afterAll(() => rm(own, { recursive: true, force: true }));
  return () => ({ commandLine: path.join(folder, 'cli.js'), engine: path.join(folder, 'engine.js') });
}

function isFresh(folder: string): boolean {
  const files = names.map((name) => path.join(folder, name));
  if (!files.every((file) => existsSync(file))) {
    return false;
  }
  const built = Math.min(...files.map((file) => statSync(file).mtimeMs));
  const sources = path.join(root, 'engine');
  return readdirSync(sources, { recursive: true, encoding: 'utf8' }).every(
    (name) => statSync(path.join(sources, name)).mtimeMs < built,
  );
}
