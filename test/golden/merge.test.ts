import { mkdtempSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { specTensors } from '../../engine/families/specTensors';
import { calibrate } from '../../engine/jobs/calibrate';
import { evaluate } from '../../engine/jobs/evaluate';
import { merge } from '../../engine/jobs/merge';
import { openModel } from '../../engine/jobs/openModel';
import { readPlan, updatePlan } from '../../engine/jobs/planFile';
import { openPlannedModel, type PlannedModel } from '../../engine/jobs/plannedModel';
import { prune } from '../../engine/jobs/prune';
import type { EngineServices } from '../../engine/jobs/services';
import { quietJob } from '../../engine/measure/jobContext';
import { calibrateParamsSchema } from '../../engine/protocol/calibration';
import { evaluateParamsSchema } from '../../engine/protocol/evaluation';
import {
  mergeMethodNames,
  mergeParamsSchema,
  type MergeMethodName,
  type MergeResult,
} from '../../engine/protocol/merging';
import { pruneParamsSchema } from '../../engine/protocol/pruning';
import { samplePath } from '../support/brokenSamples';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';

const scratch = mkdtempSync(path.join(tmpdir(), 'merge-'));
const text = path.join(scratch, 'text.jsonl');
const statistics = path.join(scratch, 'statistics.safetensors');
const job = quietJob();
let services: EngineServices;

beforeAll(async () => {
  ({ services } = testServices(scratch));
  const lines = (await readFile(path.join(samplePath, 'calibration.jsonl'), 'utf8')).split('\n');
  await writeFile(text, lines.filter((line, at) => line !== '' && at % 30 === 0).join('\n'));
  const params = { checkpoint: samplePath, text: [text], out: statistics, length: 48, perDocument: true, sample: 512 };
  await calibrate(calibrateParamsSchema.parse(params), services, job);
}, 120_000);
afterAll(() => rm(scratch, { recursive: true, force: true }));

function mergeSample(name: string, changes: Record<string, unknown>): Promise<MergeResult> {
  const out = path.join(scratch, `${name}.moeplan.json`);
  const params = { checkpoint: samplePath, ratio: 0.25, stats: statistics, out, ...changes };
  return merge(mergeParamsSchema.parse(params), services, job);
}

async function planned(plan: string): Promise<PlannedModel> {
  const model = await openPlannedModel(await openModel(samplePath), { plan }, job);
  onTestFinished(() => model.dispose());
  return model;
}

async function computedBytes(model: PlannedModel): Promise<string[]> {
  const original = new Set(specTensors((await openModel(samplePath)).resolved.blocks).map(({ file }) => file));
  const computed = specTensors(model.blocks).filter(({ file }) => !original.has(file));
  return Promise.all(
    computed.map(async ({ name, file, byteOffset, byteLength }) => {
      const bytes = (await readFile(file)).subarray(byteOffset, byteOffset + byteLength);
      return `${name} ${bytes.toString('base64')}`;
    }),
  );
}

describe.each(mergeMethodNames)('%s', (method: MergeMethodName) => {
  test('writes groups of all experts, which make a smaller model with the same bytes every time', async () => {
    const result = await mergeSample(method, { method });
    expect(result.layers).toHaveLength(8);
    for (const { groups, weights } of result.layers) {
      expect(groups).toHaveLength(12);
      expect(groups.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, at) => at));
      weights.forEach((own) => {
        expect(own.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 4);
      });
    }
    expect(result.keptExpertBytes * 16).toBe(result.expertBytes * 12);
    const plan = await readPlan(result.plan!);
    expect(plan.merge?.groups).toEqual(result.layers.map(({ groups }) => groups));
    const [first, second] = [await planned(result.plan!), await planned(result.plan!)];
    expect(first.blocks.map(({ experts }) => experts.length)).toEqual(Array(8).fill(12));
    const bytes = await computedBytes(first);
    expect(bytes.length).toBeGreaterThan(0);
    expect(await computedBytes(second)).toEqual(bytes);
    const again = await mergeSample(`${method}-again`, { method });
    expect(again.layers).toEqual(result.layers);
  });

  test('changes nothing where nobody goes', async () => {
    const { plan } = await mergeSample(`${method}-nobody`, { method, ratio: 0 });
    const model = await planned(plan!);
    const { blocks } = (await openModel(samplePath)).resolved;
    model.blocks.forEach((block, at) => {
      expect(block).toEqual(blocks[at]);
    });
  });
});

test('merged models run, and are nearer to the model when their down projections are refitted', async () => {
  const quality = async (name: string, changes: Record<string, unknown>) => {
    const { plan } = await mergeSample(name, { ratio: 0.5, alignment: 'weights', method: 'm-smoe', ...changes });
    const params = { checkpoint: samplePath, text: [text], length: 48, perDocument: true, windows: 64, plan };
    const result = await evaluate(evaluateParamsSchema.parse(params), services, job);
    return Object.values(result.datasets)[0]!.kl!;
  };
  const plain = await quality('plain', { refit: 'none' });
  const refitted = await quality('refitted', { refit: 'routed' });
  expect(plain).toBeGreaterThan(0);
  expect(refitted).toBeLessThan(plain);
});

test.each(['m-smoe', 'hc-smoe'] as const)(
  '%s: layers may be left with different numbers, with the same total',
  async (method) => {
    const result = await mergeSample(`ragged-${method}`, { method, ragged: true });
    const counts = result.layers.map(({ groups }) => groups.length);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(8 * 12);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(4);
    expect(new Set(counts).size).toBeGreaterThan(1);
    const { blocks } = await planned(result.plan!);
    expect(blocks.map(({ experts }) => experts.length)).toEqual(counts);
  },
);

test('experts that a plan has pruned are in no group', async () => {
  const out = path.join(scratch, 'pruned.moeplan.json');
  const keep = Array.from({ length: 8 }, () => [0, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15]);
  await updatePlan(out, { prune: { method: 'random', keep, seed: 0 } });
  const result = await mergeSample('pruned', { method: 'hc-smoe' });
  for (const { groups } of result.layers) {
    expect(groups.flat().sort((a, b) => a - b)).toEqual(keep[0]);
    expect(groups).toHaveLength(9);
  }
  const model = await planned(out);
  model.blocks.forEach(({ experts, router }, at) => {
    expect(experts).toHaveLength(9);
    expect(router.keptRows).toEqual(result.layers[at]!.groups.map(([first]) => first));
  });
});

test('is measured beside other refits and pruning to the same size, as evaluate measures them', async () => {
  // Few texts without tags: the comparison takes all of their tokens, as evaluate does.
  const few = path.join(scratch, 'few.jsonl');
  const texts = (await readFile(text, 'utf8')).split('\n').filter((_, at) => at % 4 === 0);
  const untagged = texts.map((line) => JSON.stringify({ text: (JSON.parse(line) as { text: string }).text }));
  await writeFile(few, untagged.join('\n'));
  const own = { stats: undefined, text: [few], length: 48, perDocument: true, sample: 128, method: 'mergemoe' };
  const { comparison, options, notes, plan } = await mergeSample('compared', own);
  expect(comparison!.map(({ name }) => name).sort()).toEqual([
    'mergemoe with refit "layer"',
    'mergemoe with refit "routed"',
    'pruning by frequency',
    'pruning by gate mass',
  ]);
  const losses = comparison!.map(({ measured }) => measured.kl);
  expect(losses).toEqual([...losses].sort((left, right) => left - right));
  const best = comparison!.find(({ kind }) => kind === 'merge')!;
  expect(options.refit).toBe(best.refit);
  expect(notes[0]).toMatch(comparison![0]!.kind === 'prune' ? /^Prune instead: pruning by/ : /^Nearer to the model/);
  const pruned = path.join(scratch, 'pruned-alike.moeplan.json');
  const params = {
    checkpoint: samplePath,
    text: [few],
    length: 48,
    perDocument: true,
    method: 'gate-mass',
    ratio: 0.25,
  };
  await prune(pruneParamsSchema.parse({ ...params, out: pruned }), services, job);
  for (const [file, measured] of [
    [plan, best.measured],
    [pruned, comparison!.find(({ name }) => name === 'pruning by gate mass')!.measured],
  ] as const) {
    const { datasets } = await evaluate(evaluateParamsSchema.parse({ ...params, plan: file }), services, job);
    const { kl, perplexity } = Object.values(datasets)[0]!;
    expect(measured.kl).toBeCloseTo(kl!, 5);
    expect(Math.exp(measured.logPerplexity)).toBeCloseTo(perplexity, 3);
  }
  const { comparison: none, notes: others } = await mergeSample('not-compared', { method: 'mergemoe' });
  expect(none).toBeUndefined();
  expect(others[0]).toMatch(/^Not compared with pruning/);
});

test('calibrates by itself where text is given, and leaves what the refit reads beside the plan', async () => {
  const { plan } = await mergeSample('calibrated', {
    method: 'mergemoe',
    stats: undefined,
    text: [text],
    length: 48,
    windows: 8,
    perDocument: true,
    sample: 64,
    compare: false,
  });
  const section = (await readPlan(plan!)).merge!;
  expect(section.statisticsFile).toBe('calibrated.statistics.safetensors');
  await planned(plan!);
  const file = path.join(scratch, section.statisticsFile!);
  const bytes = await readFile(file);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(file, bytes);
  expect(await failureOf(planned(plan!))).toMatchObject({
    code: 'malformedPlan',
    details: { place: 'merge.statistics' },
  });
  await rm(file);
  const missing = await failureOf(planned(plan!));
  expect(missing).toMatchObject({ code: 'fileNotFound', details: { file } });
  expect(missing.details.wayOut).toContain('calibrated.moeplan.json');
});

describe('refuses', () => {
  test.each([
    ['no text and no statistics', { stats: undefined }, 'usage', '--text'],
    ['fewer experts than are active', { ratio: 0.9 }, 'infeasibleBudget', '--ratio'],
    ['low rank and a refit', { method: 'mergemoe', rank: 0.5 }, 'usage', '--rank'],
    ['sparse rows alone', { sparse: 0.1 }, 'usage', '--sparse'],
  ])('%s', async (_, changes, code, place) => {
    const failure = await failureOf(mergeSample('refused', changes));
    expect(failure).toMatchObject({ code, details: { place } });
    expect(failure.details.wayOut).toBeDefined();
  });

  const all = Array.from({ length: 16 }, (_, at) => at);
  const rest = Array.from({ length: 7 }, () => all.map((id) => [id]));
  const pair = [[0, 1], ...all.slice(2).map((id) => [id])];
  test.each([
    ['an expert in two groups', { groups: [[...pair, [1]], ...rest] }, 'merge.groups[0][15]'],
    ['an expert in no group', { groups: [pair.slice(1), ...rest] }, 'merge.groups[0]'],
    ['an expert that is not there', { groups: [[...pair, [16]], ...rest] }, 'merge.groups[0][15]'],
    ['groups in another order', { groups: [[...pair].reverse(), ...rest] }, 'merge.groups[0][1]'],
    ['a layer too few', { groups: rest }, 'merge.groups'],
    [
      'weights that do not fit',
      { groups: [pair, ...rest], weights: [pair.map(() => [1]), ...rest.map((layer) => layer.map(() => [1]))] },
      'merge.weights[0][0]',
    ],
    ['an unknown option', { groups: [pair, ...rest], options: { alignment: 'guess' } }, 'merge.options.alignment'],
    ['a refit without inputs', { groups: [pair, ...rest], options: { refit: 'routed' } }, 'merge.statisticsFile'],
  ])('plans with %s', async (name, section, place) => {
    const out = path.join(scratch, `${name.replaceAll(' ', '-')}.moeplan.json`);
    await updatePlan(out, { merge: { method: 'm-smoe', seed: 0, ...section } });
    const failure = await failureOf(planned(out));
    expect(failure).toMatchObject({ code: 'malformedPlan', details: { file: out, place } });
  });
});
