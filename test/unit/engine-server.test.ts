import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { afterEach, describe, expect, test } from 'vitest';
import type { EngineBundles } from '../support/engineBundles';
import { EngineSupervisor } from '../../extension/engine/supervisor';
import { engineSettingsSchema } from '../../engine/protocol/settings';
import { asParameters } from '../support/brokenRequests';
import { brokenSamples, copySample, samplePath } from '../support/brokenSamples';
import { testThreads } from '../support/engineServices';
import { useEngineBundles } from '../support/engineBundles';
import { failureOf } from '../support/failureOf';
import { hostileCheckpoints } from '../support/hostileCheckpoints';
import { temporaryFolder } from '../support/temporaryFolder';

/** The real engine bundle behind the real client of the extension. */

const bundles = useEngineBundles();
const started: EngineSupervisor[] = [];

function startEngine({ engine }: EngineBundles, cacheDirectory: string, log: string[] = []): EngineSupervisor {
  const line = (message: string): number => log.push(message);
  const supervisor = new EngineSupervisor({
    launch: () => ({ script: engine }),
    settings: () => engineSettingsSchema.parse({ provider: 'cpu', threads: testThreads, cacheDirectory }),
    client: 'test',
    log: { debug: line, info: line, warn: line, error: line },
    limits: { startBackoff: 0.1 },
  });
  started.push(supervisor);
  return supervisor;
}

afterEach(() => {
  started.splice(0).forEach((supervisor) => supervisor.dispose());
});

/** Tokens a layer that take long enough to be interrupted, and short enough to wait for. */
const samples = 16384;

test('hostile checkpoints are refused one after the other by one engine, which goes on answering', async () => {
  const root = await temporaryFolder();
  const engine = startEngine(bundles(), path.join(root, 'cache'));
  await engine.start();
  const first = engine.processId;
  for (const [at, { name, build, code, file, message }] of hostileCheckpoints.entries()) {
    const folder = path.join(root, `model ${at}`);
    const outside = path.join(root, `model ${at} outside`);
    await Promise.all([mkdir(folder), mkdir(outside)]);
    await build(folder, outside).catch((error: unknown) => {
      throw new Error(name, { cause: error });
    });
    const error = await failureOf(engine.request('inspect', { checkpoint: folder }), name);
    expect(error.code, name).toBe(code);
    expect(error.message, name).toMatch(message);
    expect(error.details.file, name).toBe(path.join(folder, file));
  }
  expect((await engine.request('inspect', { checkpoint: samplePath })).experts).toBe(16);
  expect(engine.processId).toBe(first);
  expect(engine.status.state).toBe('idle');
});

test('a broken sample is refused with its code, nothing is written, and the engine goes on', async () => {
  const root = await temporaryFolder();
  const engine = startEngine(bundles(), path.join(root, 'cache'));
  await engine.start();
  const first = engine.processId;
  for (const [at, { name, breakIt, request, code, file, place, message }] of brokenSamples.entries()) {
    const folder = path.join(root, `model ${at}`);
    await mkdir(folder);
    await copySample(folder);
    await breakIt(folder);
    const before = await readdir(folder);
    const parameters = asParameters(folder, request);
    const error = await failureOf(engine.request(request.name, parameters), name);
    expect(error.code, name).toBe(code);
    expect(error.message, name).toMatch(message);
    expect(error.details.file, name).toBe(path.join(folder, file));
    expect(error.details.place ?? '', name).toMatch(place);
    expect(await readdir(folder), name).toEqual(before);
  }
  expect((await engine.request('profile', { checkpoint: samplePath, samples: 64 })).layers).toHaveLength(8);
  expect(engine.processId).toBe(first);
});

describe('a profile that is interrupted', () => {
  test('by the death of the engine goes on from the finished layers, bit for bit', async () => {
    const root = await temporaryFolder();
    const engine = startEngine(bundles(), path.join(root, 'cache'));
    const error = await failureOf(
      engine.request(
        'profile',
        { checkpoint: samplePath, samples },
        { onProgress: (fraction) => fraction >= 0.25 && process.kill(engine.processId!, 'SIGKILL') },
      ),
    );
    expect(error.code).toBe('engineCrashed');
    expect(error.message).toMatch(/SIGKILL/);
    expect(engine.status.state).toBe('failed');

    const resumed = await engine.request('profile', { checkpoint: samplePath, samples });
    expect(resumed.resumedLayers).toBeGreaterThanOrEqual(2);
    expect(resumed.resumedLayers).toBeLessThan(8);
    expect(engine.status.state).toBe('idle');

    const whole = await startEngine(bundles(), path.join(root, 'empty')).request('profile', {
      checkpoint: samplePath,
      samples,
    });
    expect(whole.resumedLayers).toBe(0);
    expect(resumed.layers).toEqual(whole.layers);
    expect(resumed.coefficientOfVariation).toBe(whole.coefficientOfVariation);
  });

  test('by the person ends between two steps, in the same engine, and keeps its layers', async () => {
    const root = await temporaryFolder();
    const engine = startEngine(bundles(), path.join(root, 'cache'));
    const cancel = new CancellationTokenSource();
    const error = await failureOf(
      engine.request(
        'profile',
        { checkpoint: samplePath, samples },
        { token: cancel.token, onProgress: (fraction) => fraction >= 0.25 && cancel.cancel() },
      ),
    );
    expect(error.code).toBe('cancelled');
    const { processId } = engine;
    const resumed = await engine.request('profile', { checkpoint: samplePath, samples });
    expect(resumed.resumedLayers).toBeGreaterThanOrEqual(2);
    expect(resumed.resumedLayers).toBeLessThan(8);
    expect(engine.processId).toBe(processId);
  });
});

test('while one job computes, header reads are answered and the next job waits', async () => {
  const root = await temporaryFolder();
  const engine = startEngine(bundles(), path.join(root, 'cache'));
  const finished: string[] = [];
  const record = (name: string) => () => finished.push(name);
  await new Promise<void>((resolve, reject) => {
    const jobs = [
      engine
        .request('profile', { checkpoint: samplePath, samples }, { onProgress: () => jobs.length === 1 && askMore() })
        .then(record('profile')),
    ];
    const askMore = (): void => {
      jobs.push(
        engine.request('budget', { checkpoint: samplePath, objective: 'uniform', total: 24 }).then(record('budget')),
      );
      jobs.push(engine.request('inspect', { checkpoint: samplePath }).then(record('inspect')));
      Promise.all(jobs).then(() => resolve(), reject);
    };
  });
  expect(finished).toEqual(['inspect', 'profile', 'budget']);
});

test('finished results stay for the next engine until the cache is cleared', async () => {
  const cache = path.join(await temporaryFolder(), 'cache');
  const first = startEngine(bundles(), cache);
  const profile = await first.request('profile', { checkpoint: samplePath, samples: 64 });
  first.stop();
  const second = startEngine(bundles(), cache);
  expect((await second.request('history', { checkpoint: samplePath })).profiles).toEqual([profile]);
  expect((await second.request('clearCache', {})).freedBytes).toBeGreaterThan(0);
  expect((await second.request('history', { checkpoint: samplePath })).profiles).toEqual([]);
});
