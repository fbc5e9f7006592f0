import path from 'node:path';
import type { EngineSettings } from '../protocol/settings';
import { ProviderSelector } from '../runtime/providerSelection';
import { runtimeVariable, useRuntimeDirectory } from '../runtime/onnxruntime';
import { runtimeVersion } from '../runtime/runtimeVersion';
import { ResultCache, type CacheWarning } from './resultCache';
import type { EngineServices } from './services';

/** Wires up what jobs need. `programDirectory` is the folder of the running bundle, which holds `probe.js` too. */
export function createServices(settings: EngineSettings, programDirectory: string, warn: CacheWarning): EngineServices {
  const named = settings.runtimeDirectory ?? process.env[runtimeVariable];
  const runtimeDirectory = named === '' ? undefined : named;
  useRuntimeDirectory(runtimeDirectory);
  return {
    settings,
    cache: new ResultCache(settings.cacheDirectory, settings.cacheLimitBytes, warn),
    providers: new ProviderSelector({
      programDirectory,
      runtimeDirectory,
      threads: settings.threads,
      memory: path.join(settings.cacheDirectory, 'providers.json'),
      runtimeVersion: runtimeVersion(),
    }),
  };
}
