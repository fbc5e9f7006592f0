import type { z } from 'zod';
import type { JobContext } from '../measure/jobContext';
import type { EngineRequests } from '../protocol/messages';
import type { EngineServices } from './services';

/** Requests that a job answers; the handshake is the server's own. */
export type JobName = Exclude<keyof EngineRequests, 'initialize'>;

interface JobRecord<Name extends JobName> {
  /** Whether it computes for long and therefore waits for other such jobs. */
  readonly exclusive: boolean;
  run(
    params: z.output<EngineRequests[Name]['params']>,
    services: EngineServices,
    job: JobContext,
  ): Promise<z.input<EngineRequests[Name]['result']>>;
}

/**
 * What answers each request of the protocol: the server iterates over this table. A job is loaded when it is first asked for, so that
 * the engine answers the handshake and the first headers without loading all of them.
 */
export const jobTable: { readonly [Name in JobName]: JobRecord<Name> } = {
  doctor: { exclusive: true, run: async (_, services) => (await import('./doctor')).doctor(services) },
  inspect: { exclusive: false, run: async ({ checkpoint }) => (await import('./inspect')).inspect(checkpoint) },
  profile: { exclusive: true, run: async (...given) => (await import('./profile')).profile(...given) },
  budget: { exclusive: true, run: async (...given) => (await import('./budget')).budget(...given) },
  solveBudgets: { exclusive: false, run: async (params) => (await import('./solveBudgets')).solveBudgets(params) },
  calibrate: { exclusive: true, run: async (...given) => (await import('./calibrate')).calibrate(...given) },
  quantize: { exclusive: true, run: async (...given) => (await import('./quantize')).quantize(...given) },
  merge: { exclusive: true, run: async (...given) => (await import('./merge')).merge(...given) },
  evaluate: { exclusive: true, run: async (...given) => (await import('./evaluate')).evaluate(...given) },
  bench: { exclusive: true, run: async (...given) => (await import('./bench')).bench(...given) },
  generate: { exclusive: true, run: async (...given) => (await import('./generate')).generate(...given) },
  prune: { exclusive: true, run: async (...given) => (await import('./prune')).prune(...given) },
  apply: { exclusive: true, run: async (params, _, job) => (await import('./apply')).apply(params, job) },
  setActiveExperts: {
    exclusive: true,
    run: async (params) => (await import('./setActiveExperts')).setActiveExperts(params),
  },
  exportTargets: { exclusive: false, run: async (params) => (await import('./apply')).listTargets(params) },
  history: {
    exclusive: false,
    run: async ({ checkpoint }, services) => (await import('./history')).history(checkpoint, services),
  },
  clearCache: {
    exclusive: true,
    run: async (_, services) => ({ freedBytes: await services.cache.clear() }),
  },
};
