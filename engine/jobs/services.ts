import type { EngineSettings } from '../protocol/settings';
import type { MachineOptions } from '../measure/hiddenStore';
import type { JobContext } from '../measure/jobContext';
import { DeviceJournal } from '../runtime/deviceJournal';
import type { ProviderSelector } from '../runtime/providerSelection';
import { providerNamed } from '../runtime/providerTable';
import type { OpenSession } from '../runtime/session';
import { TunerError } from '../protocol/errors';
import type { ResultCache } from './resultCache';

/** What every job needs besides its parameters; made once per process by the server or the command line. */
export interface EngineServices {
  readonly settings: EngineSettings;
  readonly cache: ResultCache;
  readonly providers: Pick<ProviderSelector, 'select' | 'probeAll'>;
  /** Opens the sessions of all jobs; tests put failing devices here. */
  readonly openSession?: OpenSession | undefined;
}

/**
 * The provider, precision and threads this process computes with. What the device cannot do moves to the processor
 * and is told to `job`; without one it is an error.
 * @throws TunerError `providerUnavailable`
 */
export async function runtimeOptions(
  { providers, settings, openSession }: EngineServices,
  job?: Pick<JobContext, 'log'>,
): Promise<MachineOptions> {
  const { selected, providers: reports } = await providers.select(settings.provider);
  const report = reports.find(({ name }) => providerNamed(name)?.runtimeName === selected);
  const { threads, precision, hiddenMemoryBytes, deviceMemoryBytes } = settings;
  const journal = job === undefined ? undefined : new DeviceJournal((message) => job.log('warn', message));
  if (selected !== 'cpu' && precision !== undefined && report?.precisions?.includes(precision) !== true) {
    throw new TunerError(
      'providerUnavailable',
      `The provider ${selected} does not compute experts right in ${precision}.`,
      {
        place: '--precision',
        wayOut: `It can do: ${report?.precisions?.join(', ') ?? 'none'}.`,
      },
    );
  }
  const { fusedExperts } = report ?? {};
  return {
    provider: selected,
    threads,
    precision,
    fusedExperts,
    journal,
    hiddenMemoryBytes,
    deviceMemoryBytes,
    open: openSession,
  };
}
