import * as vscode from 'vscode';
import { setContextKey } from '../common/contextKeys';
import { localize } from '../common/localize';
import { showError } from '../common/showError';
import { toTunerError, type TunerError } from '../../engine/protocol/errors';
import type { ProgressListener } from '../engine/pendingJobs';

/** A job as the dashboard shows it; fraction runs from 0 to 1. */
export interface RunningJob {
  readonly title: string;
  readonly message: string;
  readonly fraction: number;
  /** Set when stopping the job gives the best result so far instead of none. */
  readonly keepsBest?: boolean;
  /** Set when the person stopped the job and it has not ended yet. */
  readonly stopping?: boolean;
}

export interface JobOptions {
  /** Stopping this job gives the best result so far: the work then resolves instead of failing as cancelled. */
  readonly keepsBest?: boolean;
  /** What the person reads when the job was cancelled and gave no result; nothing without it. */
  readonly whenCancelled?: string;
  /** What "Try Again" does after a failure: the whole command, so that its result arrives where the first one would have. */
  readonly again?: () => Promise<unknown>;
}

/** What the work of a job gets to report progress and to notice that it was cancelled. */
export interface JobControl {
  readonly token: vscode.CancellationToken;
  readonly onProgress: ProgressListener;
}

/** Runs the long jobs a person starts, one at a time, with progress, Cancel and a clear end. */
export class JobRunner implements vscode.Disposable {
  private readonly changeEmitter = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changeEmitter.event;
  private running: { readonly source: vscode.CancellationTokenSource; job: RunningJob } | undefined;
  private failure: TunerError | undefined;

  constructor(private readonly showLog: () => void) {}

  get current(): RunningJob | undefined {
    return this.running?.job;
  }

  /** The error the last job ended with; a new job clears it. */
  get lastError(): TunerError | undefined {
    return this.failure;
  }

  /**
   * Runs a job; resolves to undefined when it was cancelled without a result, failed (the person was told), or another one
   * runs. A job that was cancelled and still has a result resolves with it.
   */
  async run<Result>(
    title: string,
    work: (control: JobControl) => Promise<Result>,
    options: JobOptions = {},
  ): Promise<Result | undefined> {
    if (this.running !== undefined) {
      await this.refuse(this.running.job.title);
      return undefined;
    }
    const source = new vscode.CancellationTokenSource();
    this.running = { source, job: { title, message: '', fraction: 0, ...(options.keepsBest && { keepsBest: true }) } };
    this.failure = undefined;
    this.changed();
    try {
      return await this.runWithProgress(title, source, work);
    } catch (error) {
      this.failed(error, options);
      return undefined;
    } finally {
      this.running = undefined;
      source.dispose();
      this.changed();
    }
  }

  cancel(): void {
    this.running?.source.cancel();
  }

  dispose(): void {
    this.cancel();
    this.changeEmitter.dispose();
  }

  private runWithProgress<Result>(
    title: string,
    source: vscode.CancellationTokenSource,
    work: (control: JobControl) => Promise<Result>,
  ): Thenable<Result> {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    return vscode.window.withProgress(options, (progress, token) => {
      token.onCancellationRequested(() => source.cancel());
      source.token.onCancellationRequested(() => this.stopping(source));
      let shown = 0;
      const onProgress: ProgressListener = (fraction, message) => {
        progress.report({ message, increment: Math.max(0, fraction - shown) * 100 });
        shown = Math.max(shown, fraction);
        if (this.running?.source === source) {
          this.running.job = { ...this.running.job, message, fraction };
          this.changed();
        }
      };
      return work({ token: source.token, onProgress });
    });
  }

  private stopping(source: vscode.CancellationTokenSource): void {
    if (this.running?.source === source) {
      this.running.job = { ...this.running.job, stopping: true };
      this.changed();
    }
  }

  private failed(error: unknown, { whenCancelled, again }: JobOptions): void {
    const failure = toTunerError(error);
    if (failure.kind !== 'cancelled') {
      this.failure = failure;
      const retry = again && { retry: () => void again() };
      void showError(failure, { showLog: this.showLog, ...retry });
    } else if (whenCancelled !== undefined) {
      void vscode.window.showInformationMessage(whenCancelled);
    }
  }

  private async refuse(runningTitle: string): Promise<void> {
    const cancel = localize('Cancel It');
    const message = localize('"{title}" is still running; the engine does one job at a time.', { title: runningTitle });
    if ((await vscode.window.showInformationMessage(message, cancel)) === cancel) {
      this.cancel();
    }
  }

  private changed(): void {
    setContextKey('moeTuner.jobRunning', this.running !== undefined);
    this.changeEmitter.fire();
  }
}
