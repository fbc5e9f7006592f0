import os from 'node:os';
import type { DoctorResult } from '../protocol/doctor';
import { TunerError } from '../protocol/errors';
import { bundledProviders, runtimeVersion } from '../runtime/runtimeVersion';
import { engineVersion } from '../version';
import type { EngineServices } from './services';

/** Probes every provider now and says which one is used and why. */
export async function doctor(services: EngineServices): Promise<DoctorResult> {
  const { settings, providers: selector } = services;
  const providers = await selector.probeAll();
  const selection = await selector.select(settings.provider).catch((error: unknown) => {
    if (TunerError.is(error, 'providerUnavailable')) {
      return { requested: settings.provider, selected: 'none', reason: error.describe() };
    }
    throw error;
  });
  return {
    requested: selection.requested,
    selected: selection.selected,
    reason: selection.reason,
    providers,
    versions: {
      moeTuner: engineVersion,
      onnxruntime: runtimeVersion(),
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      bundledProviders: bundledProviders().join(' '),
    },
    threads: settings.threads === 0 ? os.availableParallelism() : settings.threads,
    cacheDirectory: settings.cacheDirectory,
  };
}
