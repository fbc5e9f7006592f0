import { spawn } from 'node:child_process';

/** What a run of the command line left behind. */
export interface CommandLineRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandLineOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Interrupts the process, as Ctrl-C does, once its standard error matches. */
  readonly interruptAt?: RegExp;
  /** Kills the process instead, as a system short of memory does. */
  readonly kill?: boolean;
}

/** Runs a bundle of the command line to its end. Standard output and error are pipes, as in a script. */
export function runCommandLine(
  bundle: string,
  words: readonly string[],
  { environment = {}, interruptAt, kill = false }: CommandLineOptions = {},
): Promise<CommandLineRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bundle, ...words], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let interrupted = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      if (!interrupted && interruptAt?.test(stderr) === true) {
        interrupted = true;
        child.kill(kill ? 'SIGKILL' : 'SIGINT');
      }
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
