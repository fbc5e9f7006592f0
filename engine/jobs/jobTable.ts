import type { z } from 'zod';
import type { JobContext } from '../measure/jobContext';
import type { EngineRequests } from '../protocol/messages';
import { apply, listTargets } from './apply';
import { bench } from './bench';
import { budget } from './budget';
import { calibrate } from './calibrate';
import { doctor } from './doctor';
import { evaluate } from './evaluate';
import { generate } from './generate';
import { history } from './history';
import { inspect } from './inspect';
import { merge } from './merge';
import { profile } from './profile';
import { prune } from './prune';
import { quantize } from './quantize';
import type { EngineServices } from './services';
import { setActiveExperts } from './setActiveExperts';
import { solveBudgets } from './solveBudgets';

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

/** What answers each request of the protocol: the server iterates over this table. */
export const jobTable: { readonly [Name in JobName]: JobRecord<Name> } = {
  doctor: { exclusive: true, run: (_, services) => doctor(services) },
  inspect: { exclusive: false, run: ({ checkpoint }) => inspect(checkpoint) },
  profile: { exclusive: true, run: profile },
  budget: { exclusive: true, run: budget },
  solveBudgets: { exclusive: false, run: (params) => solveBudgets(params) },
  calibrate: { exclusive: true, run: calibrate },
  quantize: { exclusive: true, run: quantize },
  merge: { exclusive: true, run: merge },
  evaluate: { exclusive: true, run: evaluate },
  bench: { exclusive: true, run: bench },
  generate: { exclusive: true, run: generate },
  prune: { exclusive: true, run: prune },
  apply: { exclusive: true, run: (params, _, job) => apply(params, job) },
  setActiveExperts: { exclusive: true, run: (params) => setActiveExperts(params) },
  exportTargets: { exclusive: false, run: (params) => listTargets(params) },
  history: { exclusive: false, run: ({ checkpoint }, services) => history(checkpoint, services) },
  clearCache: {
    exclusive: true,
    run: async (_, services) => ({ freedBytes: await services.cache.clear() }),
  },
};
