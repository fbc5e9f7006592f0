import type { CancellationToken, Disposable } from 'vscode-jsonrpc/node';
import type { TunerError } from '../../engine/protocol/errors';
import type { GenerationStep } from '../../engine/protocol/generation';

/** Reports how far a job is: fraction from 0 to 1 and a short text. */
export type ProgressListener = (fraction: number, message: string) => void;

/** Gets the tokens of a running `generate`, one by one. */
export type GenerationListener = (step: GenerationStep) => void;

/** A request that has not been answered. */
export interface PendingJob {
  readonly id: string;
  readonly generation: number;
  readonly reject: (error: TunerError) => void;
  readonly onProgress: ProgressListener | undefined;
  readonly onGenerated?: GenerationListener | undefined;
  cancelled: boolean;
}

/** The requests that wait for an answer, so that every one of them gets one, whatever happens to the engine. */
export class PendingJobs {
  private readonly jobs = new Map<string, PendingJob>();

  constructor(private readonly onChange: () => void) {}

  get size(): number {
    return this.jobs.size;
  }

  add(job: PendingJob): Disposable {
    this.jobs.set(job.id, job);
    this.onChange();
    return {
      dispose: () => {
        if (this.jobs.delete(job.id)) {
          this.onChange();
        }
      },
    };
  }

  get(id: string): PendingJob | undefined {
    return this.jobs.get(id);
  }

  /** Rejects all jobs of one engine process with the error that `verdict` gives each. */
  rejectAll(generation: number, verdict: (job: PendingJob) => TunerError): void {
    for (const job of [...this.jobs.values()].filter((candidate) => candidate.generation === generation)) {
      this.jobs.delete(job.id);
      job.reject(verdict(job));
    }
    this.onChange();
  }
}

/** Calls `listener` once when the token is cancelled, also when it already was. */
export function onCancelled(token: CancellationToken | undefined, listener: () => void): Disposable {
  if (token === undefined) {
    return { dispose: () => undefined };
  }
  if (token.isCancellationRequested) {
    listener();
    return { dispose: () => undefined };
  }
  return token.onCancellationRequested(listener);
}
