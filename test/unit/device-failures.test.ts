import path from 'node:path';
import { expect, test } from 'vitest';
import { calibrate } from '../../engine/jobs/calibrate';
import { evaluate } from '../../engine/jobs/evaluate';
import { profile } from '../../engine/jobs/profile';
import type { EngineServices } from '../../engine/jobs/services';
import { quietJob, type JobContext } from '../../engine/measure/jobContext';
import { calibrateParamsSchema } from '../../engine/protocol/calibration';
import { evaluateParamsSchema } from '../../engine/protocol/evaluation';
import { profileParamsSchema } from '../../engine/protocol/sensitivity';
import { samplePath } from '../support/brokenSamples';
import { testServices } from '../support/engineServices';
import { failingDevice, failures, type DeviceFailure } from '../support/failingDevice';
import { temporaryFolder } from '../support/temporaryFolder';

/** What a job gave: numbers, and where it says it ran. */
interface Outcome {
  readonly provider: string;
  readonly numbers: readonly number[];
}

type Run = (services: EngineServices, job: JobContext, folder: string) => Promise<Outcome>;

const text = [path.join(samplePath, 'calibration.jsonl')];

const jobs: readonly (readonly [string, Run])[] = [
  [
    'profile',
    async (services, job) => {
      const params = profileParamsSchema.parse({ checkpoint: samplePath, samples: 320 });
      const { provider, layers } = await profile(params, services, job);
      return { provider, numbers: layers.flatMap(({ raw }) => raw.slice(0, -1)) };
    },
  ],
  [
    'evaluate',
    async (services, job) => {
      const params = evaluateParamsSchema.parse({
        checkpoint: samplePath,
        text,
        length: 48,
        windows: 8,
        activeExperts: 2,
      });
      const { provider, datasets } = await evaluate(params, services, job);
      const values = Object.values(datasets);
      return {
        provider,
        numbers: values.flatMap(({ perplexity, baselinePerplexity }) => [perplexity, baselinePerplexity!]),
      };
    },
  ],
  [
    'calibrate',
    async (services, job, folder) => {
      const params = calibrateParamsSchema.parse({
        checkpoint: samplePath,
        text,
        out: path.join(folder, 'statistics.safetensors'),
        tokens: 300,
        length: 100,
        sample: 4,
        dense: false,
      });
      const { provider, layers } = await calibrate(params, services, job);
      return { provider, numbers: layers.flatMap(({ counts }) => counts) };
    },
  ],
];

/** Runs a job on a device, and says what the person was told. */
async function runOn(run: Run, failure: DeviceFailure | undefined) {
  const folder = await temporaryFolder();
  const told: string[] = [];
  const job: JobContext = {
    ...quietJob(),
    log: (level, message) => level === 'warn' && told.push(message),
  };
  const { services } = testServices(folder);
  const outcome = await run(failure === undefined ? services : failingDevice(services, failure), job, folder);
  return { ...outcome, told };
}

const same = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, at) => expect(Math.abs(value - expected[at]!)).toBeLessThanOrEqual(1e-4 * expected[at]!));
};

test.each(jobs)(
  '%s goes on where a device is short of memory and then fails, says so, and gives the same',
  async (_, run) => {
    const expected = await runOn(run, undefined);
    expect([expected.provider, expected.told]).toEqual(['cpu', []]);
    const { numbers, provider, told } = await runOn(run, { message: failures.lost, afterRuns: 9, mostTokens: 260 });
    expect(told).toEqual([
      expect.stringContaining('steps are made smaller'),
      expect.stringMatching(/GPU or its driver failed.*runs on the processor/),
    ]);
    expect(provider).toBe('cuda, in part cpu');
    same(numbers, expected.numbers);
  },
);

test('a device that is full for good ends on the processor, layer after layer', async () => {
  const run = jobs[0]![1];
  const { provider, numbers, told } = await runOn(run, { message: failures.outOfMemory, afterRuns: 2 });
  expect(told.at(-1)).toMatch(/too small.*runs on the processor/);
  expect(provider).toBe('cuda, in part cpu');
  same(numbers, (await runOn(run, undefined)).numbers);
});
