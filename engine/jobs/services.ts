import type { EngineSettings } from '../protocol/settings';
import type { MachineOptions } from '../measure/hiddenStore';
import type { ProviderSelector } from '../runtime/providerSelection';
import type { ResultCache } from './resultCache';

/** What every job needs besides its parameters; made once per process by the server or the command line. */
export interface EngineServices {
  readonly settings: EngineSettings;
  readonly cache: ResultCache;
  readonly providers: ProviderSelector;
}

/** The provider and threads this process computes with. @throws TunerError `providerUnavailable` */
export async function runtimeOptions({ providers, settings }: EngineServices): Promise<MachineOptions> {
  const { selected } = await providers.select(settings.provider);
  return { provider: selected, threads: settings.threads, hiddenMemoryBytes: settings.hiddenMemoryBytes };
}
