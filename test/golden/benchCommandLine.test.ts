import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { bench } from '../../engine/jobs/bench';
import { quietJob } from '../../engine/measure/jobContext';
import { benchParamsSchema, benchResultSchema } from '../../engine/protocol/bench';
import type { ProviderSelector } from '../../engine/runtime/providerSelection';
import { samplePath } from '../support/brokenSamples';
import { runCommandLine } from '../support/commandLine';
import { useEngineBundles } from '../support/engineBundles';
import { testServices } from '../support/engineServices';
import { temporaryFolder } from '../support/temporaryFolder';

/** `bench` as scripts call it. Speeds depend on the machine; what is checked is what they are measured on, and how they fit together. */

const bundles = useEngineBundles();
const quick = ['--context', '16', '--tokens', '4', '--rounds', '2', '--threads', '1'];

let root: string;

beforeEach(async () => {
  root = await temporaryFolder();
});

function run(...words: readonly string[]) {
  const environment = { MOE_TUNER_CACHE: path.join(root, 'cache') };
  return runCommandLine(bundles().commandLine, ['bench', samplePath, ...words], { environment });
}

describe('bench', () => {
  test('measures a plan against the baseline, and leaves nothing behind', async () => {
    const plan = path.join(root, 'some.moeplan.json');
    const activeExperts = [4, 3, 2, 1, 4, 3, 2, 1];
    await writeFile(plan, JSON.stringify({ version: 1, activeExperts }));
    const { code, stdout } = await run('--plan', plan, ...quick, '--json');
    expect(code).toBe(0);
    const result = benchResultSchema.parse(JSON.parse(stdout));
    expect(result).toMatchObject({
      plan,
      provider: 'cpu',
      threads: 1,
      batch: 1,
      context: 16,
      tokens: 4,
      activeExperts,
    });
    const { baseline, prediction, layers } = result;
    for (const speed of [result, baseline!]) {
      expect(speed.prefillRange[0]).toBeGreaterThan(0);
      expect(speed.prefillTokensPerSecond).toBeGreaterThanOrEqual(speed.prefillRange[0]);
      expect(speed.decodeTokensPerSecond).toBeGreaterThanOrEqual(speed.decodeRange[0]);
      expect(speed.decodeTokensPerSecond).toBeLessThanOrEqual(speed.decodeRange[1]);
      expect(speed.peakBytes).toBeGreaterThan(8e6);
    }
    expect(
      layers.map(({ index, active, baselineActive, experts }) => [index, active, baselineActive, experts]),
    ).toEqual(activeExperts.map((k, layer) => [layer, k, 4, 16]));
    for (const { microseconds, medianMicroseconds, baselineMicroseconds } of layers) {
      expect(microseconds).toHaveLength(4);
      expect(Math.min(...microseconds)).toBeGreaterThan(0);
      expect([...microseconds].sort((left, right) => left - right)).toEqual(microseconds);
      const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
      expect(sum(medianMicroseconds)).toBeCloseTo(sum(microseconds), 6);
      expect(baselineMicroseconds).toBe(microseconds[3]);
    }
    const change = layers.reduce(
      (sum, { active, microseconds }) => sum + microseconds[active - 1]! - microseconds[3]!,
      0,
    );
    expect(prediction!.decodeMilliseconds).toBeCloseTo(prediction!.baselineMilliseconds + change / 1000, 6);
    expect(prediction!.measuredMilliseconds).toBeGreaterThan(0);
    expect((await readdir(path.join(root, 'cache'))).filter((name) => name.startsWith('bench-'))).toEqual([]);
  });

  test('measures the model alone, and a pruned one with its own blocks', async () => {
    const alone = await run(...quick, '--batch', '2', '--json');
    expect(alone.code).toBe(0);
    const result = benchResultSchema.parse(JSON.parse(alone.stdout));
    expect([result.batch, result.baseline, result.prediction]).toEqual([2, undefined, undefined]);

    const plan = path.join(root, 'pruned.moeplan.json');
    const keep = Array.from({ length: 8 }, (_, layer) => Array.from({ length: 8 + layer }, (__, expert) => expert));
    await writeFile(plan, JSON.stringify({ version: 1, prune: { method: 'random', ratio: 0.3, seed: 0, keep } }));
    const pruned = await run('--plan', plan, ...quick, '--json');
    expect(pruned.code).toBe(0);
    const { layers, exportedBytes } = benchResultSchema.parse(JSON.parse(pruned.stdout));
    expect(layers.map(({ experts }) => experts)).toEqual(keep.map(({ length }) => length));
    expect(layers.every(({ microseconds, baselineMicroseconds }) => baselineMicroseconds !== microseconds[3])).toBe(
      true,
    );
    expect(exportedBytes).toBeLessThan(result.exportedBytes);
  });

  test('prints a table for people, and refuses what the model has no positions for', async () => {
    const { code, stdout } = await run('--active-experts', '2', ...quick);
    expect(code).toBe(0);
    expect(stdout).toMatch(/layer +experts are +experts +active +k=1 +k=2 +k=3 +k=4/);
    expect(stdout).toMatch(/plan against baseline: prefill [\d.]+×, decode [\d.]+×/);
    expect(stdout).toMatch(/ms predicted from the layers/);
    const { code: refused, stderr } = await run('--context', '250', '--tokens', '10');
    expect([refused, stderr]).toEqual([2, expect.stringMatching(/--context: The model has 256 positions/)]);
  });

  test('says so, and measures on the processor, where a device cannot run the models', async () => {
    const { services } = testServices(root);
    const refusing = {
      ...services,
      settings: { ...services.settings, provider: 'cuda' as const },
      providers: { select: () => Promise.resolve({ selected: 'cuda', providers: [] }) } as unknown as ProviderSelector,
    };
    const warnings: string[] = [];
    const job = { ...quietJob(), log: (_: string, message: string) => void warnings.push(message) };
    const params = benchParamsSchema.parse({ checkpoint: samplePath, context: 4, tokens: 1, rounds: 1 });
    const result = await bench(params, refusing, job);
    expect(result.provider).toBe('cpu');
    expect(result.notes.join()).toMatch(/do not run with cuda: everything was measured on the processor/);
    expect(warnings.join()).toMatch(/do not run with cuda/);
    expect(result.decodeTokensPerSecond).toBeGreaterThan(0);
  });
});
