import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { calibrate } from '../../engine/jobs/calibrate';
import { history } from '../../engine/jobs/history';
import { merge } from '../../engine/jobs/merge';
import { prune } from '../../engine/jobs/prune';
import { quietJob } from '../../engine/measure/jobContext';
import { calibrateParamsSchema } from '../../engine/protocol/calibration';
import { historyRequest, type History } from '../../engine/protocol/messages';
import { mergeParamsSchema } from '../../engine/protocol/merging';
import { pruneParamsSchema } from '../../engine/protocol/pruning';
import { testServices } from '../support/engineServices';

const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-scores-'));
const checkpoint = path.resolve(import.meta.dirname, '../../media/sample');
const stats = path.join(folder, 'stats.safetensors');
const { services } = testServices(folder);
const job = quietJob();

afterAll(() => rm(folder, { recursive: true, force: true }));

async function kept(): Promise<History> {
  return historyRequest.result.parse(JSON.parse(JSON.stringify(await history(checkpoint, services))));
}

test('the scores of a calibration and of every prune run stay in the history, the newest of each method', async () => {
  const text = [path.join(checkpoint, 'calibration.jsonl')];
  const calibration = calibrateParamsSchema.parse({ checkpoint, text, out: stats, length: 32, windows: 2, sample: 16 });
  const { tokens, layers } = await calibrate(calibration, services, job);
  const afterText = await kept();
  const methods = afterText.expertScores.map(({ method }) => method).sort();
  expect(methods).toEqual(['ean', 'easy-ep', 'frequency', 'gate-mass', 'man', 'msan', 'razor', 'reap']);
  const frequency = afterText.expertScores.find(({ method }) => method === 'frequency')!;
  expect(frequency.layers.map(({ scores }) => scores)).toEqual(layers.map(({ counts }) => counts));
  expect(frequency).toMatchObject({ calibrationTokens: tokens, tasks: [], title: 'Frequency' });
  expect(afterText.pruneRuns).toEqual([]);

  const run = (method: string, ratio: number) =>
    prune(pruneParamsSchema.parse({ checkpoint, method, ratio, stats }), services, job);
  const byRouter = await run('router-norm', 0.25);
  await run('random', 0.25);
  const { expertScores, pruneRuns } = await kept();
  const router = expertScores.find(({ method }) => method === 'router-norm')!;
  router.layers.forEach(({ index, scores }, at) => {
    expect(index).toBe(byRouter.layers[at]!.index);
    scores.forEach((score, expert) => expect(score).toBeCloseTo(byRouter.layers[at]!.scores[expert]!, 4));
  });
  expect(expertScores.map(({ method }) => method).sort()).toEqual([...methods, 'router-norm'].sort());
  expect(pruneRuns.map(({ method, ratio }) => [method, ratio])).toEqual([
    ['router-norm', 0.25],
    ['random', 0.25],
  ]);
  expect(pruneRuns[0]!.keep).toEqual(byRouter.layers.map(({ keep }) => keep));
});

test('a merge stays in the history, without its groups', async () => {
  const params = mergeParamsSchema.parse({ checkpoint, method: 'hc-smoe', ratio: 0.25, stats });
  const { kept: left, keptExpertBytes, expertBytes } = await merge(params, services, job);
  expect(keptExpertBytes * 4).toBe(expertBytes * 3);
  const { mergeRuns } = await kept();
  expect(mergeRuns).toMatchObject([{ method: 'hc-smoe', ratio: 0.25, kept: left, keptExpertBytes }]);
  expect(mergeRuns[0]).not.toHaveProperty('layers');
});
