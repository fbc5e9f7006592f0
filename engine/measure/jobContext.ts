import { cancelledError } from '../protocol/errors';
import type { GenerationStep } from '../protocol/generation';

/** What a running job may use of its surroundings; server, command line and tests each provide one. */
export interface JobContext {
  /** Aborted when the person cancels; looked at between steps. */
  readonly signal: AbortSignal;
  /** Fraction from 0 to 1 and a short sentence. */
  progress(fraction: number, message: string): void;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string): void;
  /** Announces a step that cannot be interrupted, and its end. */
  stepStarted(label: string, deadlineSeconds: number): void;
  stepEnded(): void;
  /** A token that was generated, for whoever watches; all of them are in the result too. */
  generated?(step: GenerationStep): void;
}

/**
 * Runs one short step of a job. Its deadline is announced first, so that a supervisor can end a step that hangs; then
 * pending messages (cancellation, other requests) are handled, since the native run blocks the event loop.
 * @throws TunerError `cancelled` when the job was cancelled before the step began
 */
export async function step<Result>(
  job: JobContext,
  label: string,
  deadlineSeconds: number,
  run: () => Promise<Result>,
): Promise<Result> {
  job.stepStarted(label, deadlineSeconds);
  try {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (job.signal.aborted) {
      throw cancelledError();
    }
    return await run();
  } finally {
    job.stepEnded();
  }
}

/** A job nobody watches: used where a library call needs a context. */
export function quietJob(signal: AbortSignal = new AbortController().signal): JobContext {
  return {
    signal,
    progress: () => undefined,
    log: () => undefined,
    stepStarted: () => undefined,
    stepEnded: () => undefined,
  };
}
