import { spawn } from 'node:child_process';
import { root } from './paths.mjs';

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env] Added to the environment of this process.
 * @property {boolean | 'stdout'} [quiet] Collect the output, or standard output alone, instead of passing it on.
 * @property {number} [timeoutSeconds]
 *
 * @typedef {object} RunResult
 * @property {number} code Exit code; 128 + signal when a signal ended the process.
 * @property {string} stdout Empty unless quiet.
 * @property {string} stderr Empty unless quiet.
 */

/** Exit code of a program that was told to end, as shells report it. */
const endedBySignal = 143;

/** npm and npx are shell scripts on Windows, which Node refuses to start without a shell. */
const needsShell = process.platform === 'win32';

/**
 * Runs a program to its end. Never throws for a failing program: the caller looks at the exit code.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', options.quiet ? 'pipe' : 'inherit', options.quiet === true ? 'pipe' : 'inherit'],
      shell: needsShell && command.startsWith('np'),
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk) => (stdout += String(chunk)));
    child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
    const timer =
      options.timeoutSeconds === undefined
        ? undefined
        : setTimeout(() => child.kill('SIGKILL'), options.timeoutSeconds * 1000);
    // A person or a CI system that ends this program means its children as well.
    const forward = (/** @type {NodeJS.Signals} */ signal) => {
      child.kill(signal);
      process.exit(endedBySignal);
    };
    process.once('SIGTERM', forward);
    process.once('SIGHUP', forward);
    const settle = () => {
      clearTimeout(timer);
      process.removeListener('SIGTERM', forward);
      process.removeListener('SIGHUP', forward);
    };
    child.once('error', (error) => {
      settle();
      reject(error);
    });
    child.once('close', (code) => {
      settle();
      resolve({ code: code ?? 137, stdout, stderr });
    });
  });
}

/**
 * Like {@link run}, for steps without which nothing else makes sense.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export async function mustRun(command, args, options = {}) {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    throw new Error(
      `"${[command, ...args].join(' ')}" ended with exit code ${result.code}.\n${result.stdout}${result.stderr}`.trim(),
    );
  }
  return result;
}

/**
 * Path of a program on PATH.
 * @param {string} name
 * @returns {Promise<string | undefined>}
 */
export async function findProgram(name) {
  const finder = process.platform === 'win32' ? 'where' : 'which';
  try {
    const { code, stdout } = await run(finder, [name], { quiet: true });
    return code === 0 ? stdout.split(/\r?\n/)[0] : undefined;
  } catch {
    return undefined;
  }
}
