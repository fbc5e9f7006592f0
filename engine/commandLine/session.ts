import type { JobContext } from '../measure/jobContext';
import { toTunerError, type ErrorKind } from '../protocol/errors';
import type { ProviderName } from '../protocol/providerNames';
import { ProgressLine } from './progressLine';

/** Exit codes of the command line by kind of failure; 0 is success. */
export const exitCodes = { input: 2, failed: 1, cancelled: 130 } as const satisfies Record<ErrorKind, number>;

/** Options that every command accepts. */
export interface CommonOptions {
  readonly provider: ProviderName;
  readonly threads: number;
  readonly precision?: string;
  readonly runtime?: string;
  readonly json?: boolean;
  readonly cache?: string;
  /** Gigabytes. */
  readonly hiddenMemory?: number;
  /** Gigabytes. */
  readonly deviceMemory?: number;
}

/**
 * One run of the command line: progress on standard error, the result on standard output, Ctrl-C cancels.
 * @param job does the work; `warn` shows what went wrong beside it
 */
export async function runCommand<Result>(
  options: Pick<CommonOptions, 'json'>,
  job: (job: JobContext, warn: (message: string) => void) => Promise<Result>,
  render: (result: Result) => string,
): Promise<void> {
  const progress = new ProgressLine(process.stderr);
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) {
      process.exit(exitCodes.cancelled);
    }
    progress.line('Stopping after the current step; press Ctrl-C again to stop at once.');
    abort.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const warn = (message: string) => progress.line(`warning: ${message}`);
    const result = await job(progress.job(abort.signal), warn);
    progress.clear();
    process.stdout.write(`${options.json === true ? JSON.stringify(result) : render(result)}\n`);
    if (abort.signal.aborted) {
      process.exitCode = exitCodes.cancelled;
    }
  } catch (thrown) {
    progress.clear();
    const error = toTunerError(thrown);
    process.stderr.write(`error: ${error.describe()}\n`);
    if (error.code === 'internal' && error.cause instanceof Error) {
      process.stderr.write(`${error.cause.stack ?? ''}\n`);
    }
    process.exitCode = exitCodes[error.kind];
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
