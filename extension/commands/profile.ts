import { localize } from '../common/localize';
import type { EngineParams } from '../engine/supervisor';
import { pickCheckpoint } from './pickCheckpoint';
import type { Services } from './services';

/** Options of a profile that a keybinding or a test may give; the engine has defaults for all. */
export type ProfileOptions = Omit<EngineParams<'profile'>, 'checkpoint'>;

/** Measures how sensitive each MoE layer is to fewer active experts. */
export async function profileSensitivity(
  services: Services,
  argument?: unknown,
  options: ProfileOptions = {},
): Promise<void> {
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint === undefined) {
    return;
  }
  const { folder, label } = checkpoint;
  const title = localize('Profiling {label}', { label });
  const profile = await services.jobs.run(
    title,
    (control) => services.engine.request('profile', { ...options, checkpoint: folder }, control),
    { again: () => profileSensitivity(services, folder, options) },
  );
  if (profile !== undefined) {
    services.provider.set(profile.provider);
    services.store.addProfile(folder, profile);
  }
}
