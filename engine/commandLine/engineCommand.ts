import os from 'node:os';
import path from 'node:path';
import { createServices } from '../jobs/createServices';
import type { EngineServices } from '../jobs/services';
import type { JobContext } from '../measure/jobContext';
import { engineSettingsSchema } from '../protocol/settings';
import { runCommand, type CommonOptions } from './session';

/** Folder of cached measurements: MOE_TUNER_CACHE, else the user's cache folder. */
export function defaultCacheDirectory(): string {
  const { MOE_TUNER_CACHE, XDG_CACHE_HOME } = process.env;
  return MOE_TUNER_CACHE ?? path.join(XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'moe-tuner', 'results');
}

/** A run of the command line whose job computes: it gets the runtime, the cache and the settings that the options name. */
export function runEngineCommand<Result>(
  options: CommonOptions,
  programDirectory: string,
  job: (services: EngineServices, job: JobContext) => Promise<Result>,
  render: (result: Result) => string,
): Promise<void> {
  return runCommand(
    options,
    (context, warn) => {
      const settings = engineSettingsSchema.parse({
        provider: options.provider,
        threads: options.threads,
        ...(options.precision === undefined ? {} : { precision: options.precision }),
        ...(options.runtime === undefined ? {} : { runtimeDirectory: path.resolve(options.runtime) }),
        cacheDirectory: path.resolve(options.cache ?? defaultCacheDirectory()),
        ...(options.hiddenMemory === undefined ? {} : { hiddenMemoryBytes: options.hiddenMemory * 2 ** 30 }),
        ...(options.deviceMemory === undefined ? {} : { deviceMemoryBytes: options.deviceMemory * 2 ** 30 }),
      });
      const services = createServices(settings, programDirectory, warn);
      return job(services, context);
    },
    render,
  );
}
