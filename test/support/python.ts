import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether generated Python can be compiled and run here; said loudly where it cannot. */
export const hasPython = ((): boolean => {
  const found = spawnSync('python3', ['--version']).status === 0;
  if (!found) {
    console.warn('SKIPPED: the tests of generated Python do not run, because there is no python3.');
  }
  return found;
})();

/** Compiles a file as Python does before running it; rejects with the syntax error. Nothing is written. */
export async function compilePython(file: string): Promise<void> {
  await run('python3', [
    '-c',
    'import sys; compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")',
    file,
  ]);
}

/** Standard output of a helper of test/support/exportPython as JSON; rejects with its standard error. */
export async function runPython(helper: string, words: readonly string[]): Promise<unknown> {
  const script = path.join(import.meta.dirname, 'exportPython', helper);
  const { stdout } = await run('python3', [script, ...words]);
  return JSON.parse(stdout) as unknown;
}
