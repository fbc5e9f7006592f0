import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** One run of a command line: its result, wall time, and the most memory that was its own rather than mapped files. */
export interface MeasuredRun {
  readonly result: unknown;
  readonly seconds: number;
  readonly ownBytes: number;
}

/** Resident memory of a process that belongs to no file: heap, tensors, stacks; NaN where the system does not say it. */
function ownBytes(processId: number): number {
  try {
    const line = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8'));
    return Number(line?.[1] ?? NaN) * 1024;
  } catch {
    return NaN;
  }
}

/** Runs a program of this Node version whose standard output is one JSON document, and samples its memory meanwhile. */
export function measureCommand(program: string, words: readonly string[]): Promise<MeasuredRun> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    let most = NaN;
    const sampling = setInterval(() => {
      const now = ownBytes(child.pid ?? 0);
      most = now > most || Number.isNaN(most) ? now : most;
    }, 10);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(sampling);
      const seconds = (performance.now() - start) / 1000;
      if (code === 0) {
        resolve({ result: JSON.parse(output), seconds, ownBytes: most });
      } else {
        reject(new Error(`${words.join(' ')} ended with ${code}.`));
      }
    });
  });
}
