import os from 'node:os';
import path from 'node:path';
import { createServices } from '../jobs/createServices';
import type { EngineServices } from '../jobs/services';
import type { JobContext } from '../measure/jobContext';
import { toTunerError, type ErrorKind } from '../protocol/errors';
import { engineSettingsSchema } from '../protocol/settings';
import type { ProviderName } from '../protocol/doctor';
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

/** Folder of cached measurements: MOE_TUNER_CACHE, else the user's cache folder. */
export function defaultCacheDirectory(): string {
  const { MOE_TUNER_CACHE, XDG_CACHE_HOME } = process.env;
  return MOE_TUNER_CACHE ?? path.join(XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'moe-tuner', 'results');
}

/** One run of the command line: progress on standard error, the result on standard output, Ctrl-C cancels. */
export async function runCommand<Result>(
  options: CommonOptions,
  programDirectory: string,
  job: (services: EngineServices, job: JobContext) => Promise<Result>,
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
    const settings = engineSettingsSchema.parse({
      provider: options.provider,
      threads: options.threads,
      ...(options.precision === undefined ? {} : { precision: options.precision }),
      ...(options.runtime === undefined ? {} : { runtimeDirectory: path.resolve(options.runtime) }),
      cacheDirectory: path.resolve(options.cache ?? defaultCacheDirectory()),
      ...(options.hiddenMemory === undefined ? {} : { hiddenMemoryBytes: options.hiddenMemory * 2 ** 30 }),
      ...(options.deviceMemory === undefined ? {} : { deviceMemoryBytes: options.deviceMemory * 2 ** 30 }),
    });
    const services = createServices(settings, programDirectory, (message) => progress.line(`warning: ${message}`));
    const result = await job(services, progress.job(abort.signal));
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
