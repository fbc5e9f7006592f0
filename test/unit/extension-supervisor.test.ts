import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TunerError } from '../../engine/protocol/errors';
import { defaultProfileSamples } from '../../engine/protocol/sensitivity';
import type { EngineSettings } from '../../engine/protocol/settings';
import { EngineSupervisor, type defaultLimits } from '../../extension/engine/supervisor';

const script = resolve(import.meta.dirname, '../support/fakeEngine.mjs');

let supervisor: EngineSupervisor;
let states: string[];
let lines: string[];
let folder: string;
let settings: EngineSettings;

function create(environment: Record<string, string> = {}, limits: Partial<typeof defaultLimits> = {}): void {
  const log = (message: string): number => lines.push(message);
  supervisor = new EngineSupervisor({
    launch: () => ({ script, environment }),
    settings: () => settings,
    client: 'test',
    log: { debug: log, info: log, warn: log, error: log },
    limits: { start: 10, cancelGrace: 0.3, startBackoff: 0.3, ...limits },
  });
  supervisor.onDidChangeStatus(({ state }) => states.push(state));
}

async function failure(work: Promise<unknown>): Promise<TunerError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TunerError);
  return error as TunerError;
}

const isAlive = (processId: number): boolean => {
  try {
    return process.kill(processId, 0);
  } catch {
    return false;
  }
};

beforeEach(() => {
  states = [];
  lines = [];
  settings = { provider: 'cpu', threads: 1, cacheDirectory: '/nowhere', cacheLimitBytes: 1e6, hiddenMemoryBytes: 1e6 };
  folder = mkdtempSync(join(tmpdir(), 'supervisor-'));
});

afterEach(() => {
  supervisor.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('a healthy engine', () => {
  it('starts on the first request, reports progress and log, fills in defaults, and ends idle', async () => {
    create();
    expect(supervisor.status.state).toBe('stopped');
    const progress: string[] = [];
    const result = await supervisor.request(
      'profile',
      { checkpoint: 'ok' },
      { onProgress: (fraction, message) => progress.push(`${fraction} ${message}`) },
    );
    expect(result.samples).toBe(defaultProfileSamples);
    expect(progress).toEqual(['0.5 layer 1 of 2']);
    expect(lines).toContain('[engine] half way');
    expect(states).toEqual(['starting', 'idle', 'busy', 'idle']);
  });

  it('is started once for requests that arrive together', async () => {
    const startsFile = join(folder, 'starts');
    create({ FAKE_ENGINE_STARTS_FILE: startsFile });
    await Promise.all([1, 2, 3].map(() => supervisor.request('profile', { checkpoint: 'ok' })));
    expect(readFileSync(startsFile, 'utf8').trim().split('\n')).toHaveLength(1);
  });

  it('passes on refusals with code, file and way out, and stays alive', async () => {
    create();
    const error = await failure(supervisor.request('profile', { checkpoint: 'refuse' }));
    expect(error.code).toBe('notMixtureOfExperts');
    expect(error.details.file).toBe('/models/dense/config.json');
    expect(error.details.wayOut).toMatch(/Open a mixture/);
    expect(supervisor.status.state).toBe('idle');
  });

  it('restarts with new settings once it is idle', async () => {
    create();
    expect((await supervisor.request('clearCache', {})).freedBytes).toBe(1);
    const before = supervisor.processId;
    settings = { ...settings, threads: 5 };
    await supervisor.request('profile', { checkpoint: 'ok' }, { onProgress: () => supervisor.settingsChanged() });
    expect(supervisor.status.state).toBe('stopped');
    expect((await supervisor.request('clearCache', {})).freedBytes).toBe(5);
    expect(supervisor.processId).not.toBe(before);
  });

  it('hands a request that was not sent yet to the next engine', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'ok' });
    const before = supervisor.processId;
    const work = supervisor.request('profile', { checkpoint: 'ok' });
    supervisor.stop();
    await work;
    expect(supervisor.processId).not.toBe(before);
  });

  it('rejects parameters that are not well formed without asking the engine', async () => {
    create();
    const error = await failure(supervisor.request('profile', { checkpoint: 'ok', samples: -1 }));
    expect(error.code).toBe('malformedMessage');
    expect(supervisor.status.state).toBe('stopped');
  });
});

describe('an engine that dies', () => {
  it('says with which exit code and last words, and the next request starts a fresh one', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'ok' });
    const first = supervisor.processId;
    const error = await failure(supervisor.request('profile', { checkpoint: 'crash' }));
    expect(error.code).toBe('engineCrashed');
    expect(error.message).toContain('exit code 7');
    expect(error.message).toContain('fatal: device lost');
    expect(error.details.wayOut).toContain('Finished layers are kept');
    expect(supervisor.status).toMatchObject({ state: 'failed' });
    await supervisor.request('profile', { checkpoint: 'ok' });
    expect(supervisor.processId).not.toBe(first);
    expect(supervisor.status.state).toBe('idle');
  });

  it('rejects everything that was waiting', async () => {
    create();
    const waiting = failure(supervisor.request('profile', { checkpoint: 'silent' }));
    const crashed = failure(supervisor.request('profile', { checkpoint: 'crash' }));
    expect((await waiting).code).toBe('engineCrashed');
    expect((await crashed).code).toBe('engineCrashed');
  });

  it('names the signal when it is killed from outside', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'ok' });
    const waiting = failure(supervisor.request('profile', { checkpoint: 'silent' }));
    process.kill(supervisor.processId!, 'SIGKILL');
    expect((await waiting).message).toContain('SIGKILL');
  });

  it('answers a request that was made between death and exit event', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'ok' });
    process.kill(supervisor.processId!, 'SIGKILL');
    await new Promise((done) => setTimeout(done, 30));
    const outcome = await supervisor.request('profile', { checkpoint: 'ok' }).catch((error: unknown) => error);
    expect(outcome instanceof TunerError ? outcome.code : 'answered').toMatch(/answered|engineCrashed/);
    await supervisor.request('profile', { checkpoint: 'ok' });
  });
});

describe('an engine that does not respond', () => {
  it('is killed when a step runs past its deadline', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'ok' });
    const processId = supervisor.processId!;
    const started = Date.now();
    const error = await failure(supervisor.request('profile', { checkpoint: 'hang' }));
    expect(error.code).toBe('engineTimedOut');
    expect(error.message).toContain('layer 3');
    expect(Date.now() - started).toBeLessThan(3000);
    await expect.poll(() => isAlive(processId)).toBe(false);
    await supervisor.request('profile', { checkpoint: 'ok' });
  });

  it('is killed when it is silent between steps', async () => {
    create({}, { silence: 0.3 });
    const error = await failure(supervisor.request('profile', { checkpoint: 'silent' }));
    expect(error.code).toBe('engineTimedOut');
    expect(error.message).toContain('silent');
  });

  it('tells other jobs that they were not the cause', async () => {
    create();
    const other = failure(supervisor.request('profile', { checkpoint: 'silent' }));
    await failure(supervisor.request('profile', { checkpoint: 'hang' }));
    expect((await other).message).toContain('another job');
  });
});

describe('cancellation', () => {
  it('ends a job between its steps and keeps the engine', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'ok' });
    const processId = supervisor.processId;
    const source = new CancellationTokenSource();
    const work = failure(supervisor.request('profile', { checkpoint: 'steps' }, { token: source.token }));
    setTimeout(() => source.cancel(), 100);
    expect((await work).code).toBe('cancelled');
    expect(supervisor.processId).toBe(processId);
    expect(supervisor.status.state).toBe('idle');
  });

  it('of a search that has something passes on the best so far', async () => {
    create();
    const source = new CancellationTokenSource();
    const work = supervisor.request('budget', { checkpoint: 'ok', total: 3 }, { token: source.token });
    await expect.poll(() => supervisor.status.state).toBe('busy');
    const processId = supervisor.processId;
    source.cancel();
    expect(await work).toMatchObject({ interrupted: true, activeExperts: [1, 2] });
    expect(supervisor.processId).toBe(processId);
    expect(supervisor.status.state).toBe('idle');
  });

  it('kills an engine that ignores it, and still calls it cancelled', async () => {
    create();
    const source = new CancellationTokenSource();
    const work = failure(
      supervisor.request('profile', { checkpoint: 'deaf' }, { token: source.token, onProgress: () => source.cancel() }),
    );
    expect((await work).code).toBe('cancelled');
    expect(supervisor.status.state).toBe('failed');
    await supervisor.request('profile', { checkpoint: 'ok' });
  });

  it('before the start sends nothing', async () => {
    create();
    const source = new CancellationTokenSource();
    source.cancel();
    const error = await failure(supervisor.request('profile', { checkpoint: 'crash' }, { token: source.token }));
    expect(error.code).toBe('cancelled');
    expect(supervisor.status.state).toBe('idle');
  });
});

describe('messages that break the protocol', () => {
  it('another protocol version is refused and the process ended', async () => {
    create({ FAKE_ENGINE_PROTOCOL: '99' });
    const error = await failure(supervisor.request('profile', { checkpoint: 'ok' }));
    expect(error.code).toBe('protocolMismatch');
    expect(error.message).toContain('99');
    expect(supervisor.processId).toBeUndefined();
  });

  it('a malformed handshake is refused', async () => {
    create({ FAKE_ENGINE_START: 'malformed' });
    expect((await failure(supervisor.request('profile', { checkpoint: 'ok' }))).code).toBe('malformedMessage');
  });

  it('a malformed result is an error that names the place', async () => {
    create();
    const error = await failure(supervisor.request('profile', { checkpoint: 'malformed' }));
    expect(error.code).toBe('malformedMessage');
    expect(error.details.place).toBe('layers');
  });

  it('a malformed notification is logged and ignored', async () => {
    create();
    await supervisor.request('profile', { checkpoint: 'malformedNotification' });
    expect(lines.join('\n')).toContain('Malformed notification job/progress');
  });
});

describe('starts that fail', () => {
  it('quote the last output and are spaced out, starts after a crash are not', async () => {
    const startsFile = join(folder, 'starts');
    create({ FAKE_ENGINE_START: 'exit', FAKE_ENGINE_STARTS_FILE: startsFile });
    const error = await failure(supervisor.request('profile', { checkpoint: 'ok' }));
    expect(error.code).toBe('engineCrashed');
    expect(error.message).toContain('cannot load the runtime library');
    await failure(supervisor.request('profile', { checkpoint: 'ok' }));
    const [first, second] = readFileSync(startsFile, 'utf8').trim().split('\n').map(Number);
    expect(second! - first!).toBeGreaterThanOrEqual(300);
  });

  it('that never answer are given up', async () => {
    create({ FAKE_ENGINE_START: 'hang' }, { start: 0.5 });
    const error = await failure(supervisor.request('profile', { checkpoint: 'ok' }));
    expect(error.code).toBe('engineTimedOut');
    expect(supervisor.status.state).toBe('failed');
  });
});

describe('stopping', () => {
  it('rejects what waits and ends the process; disposing refuses new requests', async () => {
    create();
    const waiting = failure(supervisor.request('profile', { checkpoint: 'silent' }));
    await expect.poll(() => supervisor.status.state).toBe('busy');
    const processId = supervisor.processId!;
    supervisor.stop();
    expect((await waiting).message).toContain('stopped on request');
    await expect.poll(() => isAlive(processId)).toBe(false);
    expect(supervisor.status.state).toBe('stopped');
    supervisor.dispose();
    expect((await failure(supervisor.request('profile', { checkpoint: 'ok' }))).code).toBe('engineCrashed');
  });

  it('during the start tells the request so', async () => {
    create({ FAKE_ENGINE_START: 'hang' });
    const waiting = failure(supervisor.request('profile', { checkpoint: 'ok' }));
    await expect.poll(() => supervisor.processId).toBeDefined();
    supervisor.stop();
    expect((await waiting).message).toContain('stopped on request');
  });
});
