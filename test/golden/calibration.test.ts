import { mkdtempSync, readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { calibrate } from '../../engine/jobs/calibrate';
import { KeptProgress } from '../../engine/jobs/calibrationProgress';
import { loadStatistics } from '../../engine/jobs/collectStatistics';
import { history } from '../../engine/jobs/history';
import { openModel } from '../../engine/jobs/openModel';
import type { EngineServices } from '../../engine/jobs/services';
import { runCalibration, type CalibrationOptions } from '../../engine/measure/calibration/calibrationPass';
import { readStatistics } from '../../engine/measure/calibration/statisticsFile';
import { readTrace } from '../../engine/measure/calibration/traceFile';
import { quietJob, type JobContext } from '../../engine/measure/jobContext';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { expertSumNames, pairSumNames, type LayerStatistics } from '../../engine/methods/statistics';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { calibrateParamsSchema } from '../../engine/protocol/calibration';
import { samplePath } from '../support/brokenSamples';
import { openResolved, testRuntime } from '../support/engineRun';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { temporaryFolder } from '../support/temporaryFolder';
import { tiny } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const scratch = mkdtempSync(path.join(tmpdir(), 'calibration-'));
const text = path.join(scratch, 'text.jsonl');

beforeAll(async () => {
  const lines = (await readFile(path.join(samplePath, 'calibration.jsonl'), 'utf8')).split('\n');
  const some = lines.filter((line, at) => line !== '' && at % 60 === 0);
  await writeFile(text, some.join('\n'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('one pass', () => {
  let options: CalibrationOptions;

  beforeAll(async () => {
    const checkpoint = tinyCheckpoints.find(({ name }) => name === 'deepseek_v3-yarn')!;
    const resolved = await openResolved(writeTinyCheckpoint(checkpoint, path.join(scratch, 'tiny')));
    const random = new SeededRandom(2);
    const sequences = Array.from({ length: 40 }, (_, at) => ({
      ids: Int32Array.from(
        { length: 12 + random.integerBelow(36) },
        () => 3 + random.integerBelow(tiny.vocabulary - 3),
      ),
      tag: at % 3,
    }));
    options = {
      model: resolved.decoder(),
      activeExperts: resolved.blocks.map(({ activeExperts }) => activeExperts),
      machine: testRuntime,
      sequences,
      batches: batchesOf(sequences, 8),
      tags: ['one', 'two', 'three'],
      sample: 24,
      dense: true,
      taskPairs: true,
      trace: true,
      seed: 1,
      job: quietJob(),
    };
  });

  test('gives the same statistics whatever the order of the batches', async () => {
    const { layers } = await runCalibration(options);
    const shuffled = await runCalibration({
      ...options,
      batches: new SeededRandom(9).shuffle([...options.batches]),
    });
    layers.forEach(({ statistics, trace }, at) => {
      expectSame(statistics, shuffled.layers[at]!.statistics, 1e-12);
      expect(shuffled.layers[at]!.trace).toEqual(trace);
    });
  });

  test('gives the same statistics in single precision for other batches', async () => {
    const { layers } = await runCalibration(options);
    const other = await runCalibration({ ...options, batches: batchesOf(options.sequences, 3) });
    layers.forEach(({ statistics }, at) => expectSame(statistics, other.layers[at]!.statistics, 1e-5));
  });

  test('adds up: gates, matrices and masses agree with each other', async () => {
    const { layers } = await runCalibration(options);
    for (const { statistics } of layers) {
      const { total, experts, activeExperts: k } = statistics;
      const sum = (values: Float64Array) => values.reduce((left, right) => left + right, 0);
      expect(sum(total.counts)).toBe(total.tokens * k);
      expect(sum(total.probabilities)).toBeCloseTo(total.tokens, 2);
      expect(sum(total.topCounts)).toBe(total.tokens);
      // Routing scale 2.5 of this family, gates divided by their sum.
      expect(sum(total.gates) / total.tokens).toBeCloseTo(2.5, 4);
      expect(statistics.topMasses[k - 1]! / total.tokens).toBeLessThanOrEqual(1);
      for (let expert = 0; expert < experts; expert += 1) {
        const at = expert * experts + expert;
        expect(statistics.contributionGram[at]).toBeCloseTo(total.contributionNormSquares[expert]!, 6);
        expect(statistics.contributionProducts[at]).toBeCloseTo(total.contributionNormSquares[expert]!, 6);
        expect(statistics.dense!.cosines[at]).toBeCloseTo(1, 5);
      }
    }
  });

  test('continues from kept hidden states and layers, and ends with the same', async () => {
    const { services } = testServices(await temporaryFolder());
    const progress = () => keptProgress(services, options, 0);
    const { layers } = await runCalibration(options);
    const abort = new AbortController();
    const stopping: JobContext = {
      ...quietJob(abort.signal),
      progress: (fraction) => {
        if (fraction >= 0.6) {
          abort.abort();
        }
      },
    };
    const stopped = runCalibration({ ...options, job: stopping, progress: progress() });
    expect((await failureOf(stopped)).code).toBe('cancelled');

    const labels = new Set<string>();
    const listening: JobContext = { ...quietJob(), stepStarted: (label) => labels.add(label) };
    const resumed = await runCalibration({ ...options, job: listening, progress: progress() });
    expect(resumed.resumedLayers).toBe(1);
    expect([...labels]).not.toContain('embedding');
    expect([...labels].filter((label) => label.startsWith('layer'))).toEqual(['layer 2', 'layer 3']);
    resumed.layers.forEach(({ statistics }, at) => expectSame(statistics, layers[at]!.statistics, 0));
    expect(readdirSync(path.join(services.settings.cacheDirectory, 'layers'), { recursive: true })).not.toContainEqual(
      expect.stringContaining('hidden'),
    );
  });

  test('continues without hidden states by running the known layers plainly', async () => {
    const { services } = testServices(await temporaryFolder());
    const first = await runCalibration({ ...options, progress: keptProgress(services, options) });
    expect(first.layers.map(({ statistics }) => statistics.index)).toEqual([1, 2, 3]);
    await keptProgress(services, options).forget(2);
    const labels = new Set<string>();
    const job: JobContext = { ...quietJob(), stepStarted: (label) => labels.add(label) };
    const resumed = await runCalibration({ ...options, job, progress: keptProgress(services, options) });
    expect(resumed.resumedLayers).toBe(first.layers.length - 1);
    expect([...labels].filter((label) => label.includes('experts'))).toEqual([
      'experts of layer 1',
      'experts of layer 2',
      'all experts of layer 2',
    ]);
    resumed.layers.forEach(({ statistics }, at) => expectSame(statistics, first.layers[at]!.statistics, 0));
  });
});

describe('calibrate', () => {
  const parameters = (out: string, more: object = {}) =>
    calibrateParamsSchema.parse({
      checkpoint: samplePath,
      text: [text],
      perDocument: true,
      length: 48,
      sample: 40,
      out,
      ...more,
    });

  test('writes statistics and trace, says what was covered, and remembers it', async () => {
    const folder = await temporaryFolder();
    const { services } = testServices(folder);
    const file = path.join(folder, 'statistics.safetensors');
    const result = await calibrate(parameters(file, { trace: true }), services, quietJob());
    const { statistics, description } = await readStatistics(file);
    const model = await openModel(samplePath);
    expect(await loadStatistics(file, model)).toEqual({ statistics, description });
    expect(result.tokens).toBe(statistics.tokens);
    expect(result.tags.map(({ name }) => name)).toEqual(statistics.tags);
    expect(statistics.tags).toContain('reverse');
    expect(result.layers.map(({ counts }) => counts)).toEqual(statistics.layers.map(({ total }) => [...total.counts]));
    for (const [at, { coactivation }] of result.layers.entries()) {
      const [left, right, together] = coactivation[0]!;
      expect(statistics.layers[at]!.coactivation[left * 16 + right]).toBe(together);
    }

    const trace = await readTrace(result.trace!);
    expect(trace.sequences.reduce((sum, { ids }) => sum + ids.length, 0)).toBe(statistics.tokens);
    trace.layers.forEach(({ experts, gates, activeExperts }, at) => {
      const counts = new Float64Array(16);
      const sums = new Float64Array(16);
      experts.forEach((expert, slot) => {
        counts[expert]! += 1;
        sums[expert]! += gates[slot]!;
      });
      const { total } = statistics.layers[at]!;
      expect(activeExperts).toBe(4);
      expect(counts).toEqual(total.counts);
      sums.forEach((sum, expert) => expect(Math.abs(sum - total.gates[expert]!)).toBeLessThan(1e-3 * (1 + sum)));
    });

    const again = await calibrate(parameters(path.join(folder, 'again.safetensors')), services, quietJob());
    expect(again.resumedLayers).toBe(8);
    expect(await readFile(again.file)).toEqual(await readFile(file));
    expect((await history(samplePath, services)).calibrations.map((each) => each.file)).toEqual([file, again.file]);
  });

  test('statistics of another checkpoint are refused', async () => {
    const folder = await temporaryFolder();
    const { services } = testServices(folder);
    const file = path.join(folder, 'statistics.safetensors');
    const tokens = 300;
    const limited = await calibrate(parameters(file, { tokens, dense: false }), services, quietJob());
    // One window for each of 13 tags at least.
    expect(limited.tokens).toBeLessThan(tokens + 13 * 48);
    expect((await readStatistics(file)).statistics.layers[0]!.dense).toBeUndefined();
    const checkpoint = tinyCheckpoints.find(({ name }) => name === 'mixtral')!;
    const other = await openModel(writeTinyCheckpoint(checkpoint, path.join(folder, 'other')));
    const error = await failureOf(loadStatistics(file, other));
    expect([error.code, error.details.file]).toEqual(['statisticsForAnotherCheckpoint', file]);
  });

  test('a place that cannot be written to is told before anything is measured', async () => {
    const folder = await temporaryFolder();
    const { services } = testServices(folder);
    const steps: string[] = [];
    const job: JobContext = { ...quietJob(), stepStarted: (label) => steps.push(label) };
    const error = await failureOf(calibrate(parameters(path.join(folder, 'none', 'x.safetensors')), services, job));
    expect(error.code).toBe('writeFailed');
    expect(error.details.file).toBe(path.join(folder, 'none'));
    expect(steps).toEqual([]);
  });

  test('a cancelled run leaves no file', async () => {
    const folder = await temporaryFolder();
    const { services } = testServices(folder);
    const abort = new AbortController();
    const job: JobContext = {
      ...quietJob(abort.signal),
      progress: (fraction) => {
        if (fraction > 0.3) {
          abort.abort();
        }
      },
    };
    const file = path.join(folder, 'statistics.safetensors');
    expect((await failureOf(calibrate(parameters(file), services, job))).code).toBe('cancelled');
    expect(readdirSync(folder)).toEqual(['cache']);
    const resumed = await calibrate(parameters(file), services, quietJob());
    expect(resumed.resumedLayers).toBeGreaterThan(0);
    expect(resumed.resumedLayers).toBeLessThan(8);
  });
});

function batchesOf(sequences: CalibrationOptions['sequences'], size: number) {
  return batchSequences(
    sequences.map(({ ids }) => ids),
    // Attention memory is what bounds a batch: as many heads as leave room for `size` sequences.
    Math.floor(2 ** 23 / (size * 48 * 48)),
  );
}

function keptProgress({ cache, settings }: EngineServices, { tags }: CalibrationOptions, interval?: number) {
  return new KeptProgress({
    cache,
    cacheLimitBytes: settings.cacheLimitBytes,
    key: 'test',
    tags,
    trace: false,
    interval,
  });
}

/** Every array of two layers, element by element, within a share of the largest element. */
function expectSame(actual: LayerStatistics, expected: LayerStatistics, tolerance: number): void {
  const arrays = (layer: LayerStatistics): [string, ArrayLike<number>][] => [
    ...expertSumNames.map((name): [string, ArrayLike<number>] => [name, layer.total[name]]),
    ...layer.byTag.flatMap((sums) =>
      expertSumNames.map((name): [string, ArrayLike<number>] => [`${sums.tag} ${name}`, sums[name]]),
    ),
    ...(
      [
        'largestOutputs',
        'outputSums',
        'coactivation',
        'contributionProducts',
        'contributionGram',
        'logitProducts',
        'probabilityProducts',
        'topMasses',
      ] as const
    ).map((name): [string, ArrayLike<number>] => [name, layer[name]]),
    ...layer.byTag.flatMap(({ tag }, at) =>
      pairSumNames.map((name): [string, ArrayLike<number>] => [`${tag} ${name}`, layer.pairsByTag![at]![name]]),
    ),
    ['outputSquares', [layer.outputSquares]],
    ['sample', layer.sample.inputs],
    ['sample tags', layer.sample.tags],
    ['dense means', layer.dense!.meanOutputs],
    ['dense gram', layer.dense!.gram],
    ['dense cosines', layer.dense!.cosines],
  ];
  const other = new Map(arrays(expected));
  for (const [name, values] of arrays(actual)) {
    const wanted = other.get(name)!;
    let [size, worst] = [0, 0];
    for (let at = 0; at < wanted.length; at += 1) {
      size = Math.max(size, Math.abs(wanted[at]!));
      worst = Math.max(worst, Math.abs(wanted[at]! - values[at]!));
    }
    // Sampled inputs are kept in bfloat16: a last bit of float32 can decide how they round.
    expect(worst, name).toBeLessThanOrEqual(
      (name.startsWith('sample') || name.startsWith('dense') ? 1000 : 1) * tolerance * size,
    );
  }
}
