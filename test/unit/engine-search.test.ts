import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { afterEach, expect, test } from 'vitest';
import { planSchema } from '../../engine/protocol/plan';
import { pointRequest } from '../../extension/commands/budgetChoices';
import { budgetOutcome } from '../../extension/commands/budgetOutcome';
import { EngineSupervisor } from '../../extension/engine/supervisor';
import { samplePath } from '../support/brokenSamples';
import { useEngineBundles } from '../support/engineBundles';
import { temporaryFolder } from '../support/temporaryFolder';

const bundles = useEngineBundles();
let engine: EngineSupervisor | undefined;

afterEach(() => engine?.dispose());

/** Small enough to take seconds, large enough for a search to be under way when it is stopped. */
const calibrationTokens = 600;

test('a search the editor stops ends with a plan, and a point of its front follows without measuring again', async () => {
  const root = await temporaryFolder();
  const log = (): void => undefined;
  engine = new EngineSupervisor({
    launch: () => ({ script: bundles().engine }),
    settings: () => ({
      provider: 'cpu',
      threads: 1,
      cacheDirectory: path.join(root, 'cache'),
      cacheLimitBytes: 1e9,
      hiddenMemoryBytes: 1e9,
    }),
    client: 'test',
    log: { debug: log, info: log, warn: log, error: log },
  });
  const text = [path.join(samplePath, 'calibration.jsonl')];
  const out = path.join(root, 'stopped.moeplan.json');
  const source = new CancellationTokenSource();
  const onProgress = (_: number, message: string): void => {
    if (message.startsWith('Measurement ')) {
      source.cancel();
    }
  };
  const common = { checkpoint: samplePath, text, calibrationTokens, out };
  const search = { ...common, objective: 'auto', total: 16, evaluations: 500 } as const;
  const stopped = await engine.request('budget', search, { token: source.token, onProgress });
  expect(stopped.interrupted).toBe(true);
  expect(budgetOutcome(stopped)).toMatch(/^Stopped; the best so far was kept\. Taken: ".+", measured KL/);
  const plan = planSchema.parse(JSON.parse(readFileSync(out, 'utf8')));
  expect(plan.activeExperts).toEqual(stopped.activeExperts);
  expect(plan.budget).toMatchObject({ chosen: stopped.chosen, measuredKl: stopped.measured?.kl });

  const { objective, solver, seed, unmeasured } = pointRequest(stopped, [16], 20);
  expect(unmeasured).toBe(true);
  const point = await engine.request('budget', { ...common, objective, solver, seed, total: 20 });
  expect(point.measurements).toBe(0);
  expect(point.activeExperts).toEqual(stopped.front.find(({ total }) => total === 20)?.activeExperts);
  expect(engine.status.state).toBe('idle');
}, 240_000);
