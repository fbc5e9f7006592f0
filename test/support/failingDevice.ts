import { sensitivityNames } from '../../engine/graph/sensitivityGraph';
import type { EngineServices } from '../../engine/jobs/services';
import { openSession, runtimeError, type Feeds, type OpenSession } from '../../engine/runtime/session';

/** What a simulated device cannot do. */
export interface DeviceFailure {
  /** What its driver says. */
  readonly message: string;
  /** Runs that go well before it fails; from then on all fail. */
  readonly afterRuns?: number;
  /** Most tokens of one run: more of them do not fit into its memory. */
  readonly mostTokens?: number;
}

export const failures = {
  outOfMemory: 'CUDA failure 2: out of memory',
  lost: 'CUDA failure 719: unspecified launch failure',
} as const;

/** Services of jobs on a GPU that is the processor behind a driver that fails as the real ones do. */
export function failingDevice(services: EngineServices, failure: DeviceFailure): EngineServices {
  const { message, afterRuns = Infinity, mostTokens = Infinity } = failure;
  let runs = 0;
  const open: OpenSession = async (model, options) => {
    const session = await openSession(model, { ...options, provider: 'cpu' });
    if (options.provider === 'cpu') {
      return session;
    }
    return {
      ...session,
      run: (feeds, outputs) => {
        runs += 1;
        const short = tokensOf(feeds) > mostTokens;
        return short || runs > afterRuns
          ? Promise.reject(
              runtimeError(new Error(short ? failures.outOfMemory : message), 'A graph failed while it ran.'),
            )
          : session.run(feeds, outputs);
      },
    };
  };
  const providers: EngineServices['providers'] = {
    ...services.providers,
    probeAll: () => services.providers.probeAll(),
    select: (requested) => Promise.resolve({ requested, selected: 'cuda', reason: 'It is simulated.', providers: [] }),
  };
  return { ...services, providers, openSession: open };
}

/** Rows of the largest input over all axes but the last, or how many of the inputs it has loaded a run takes. */
function tokensOf({ [sensitivityNames.rows]: taken, ...feeds }: Feeds): number {
  return Math.max(
    taken?.shape[0] ?? 0,
    ...Object.values(feeds)
      .filter(({ type }) => type === 'float32')
      .map(({ shape }) => shape.slice(0, -1).reduce((product, size) => product * size, 1)),
  );
}
