import { mkdtempSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { writeSafetensors } from '../../engine/checkpoint/writeSafetensors';
import { commandTable } from '../../engine/commandLine/commandTable';
import { createProgram } from '../../engine/commandLine/commands';
import { bytesOf } from '../../engine/jobs/tensorInput';
import { runCommandLine, type CommandLineOptions, type CommandLineRun } from '../support/commandLine';
import { useEngineBundles } from '../support/engineBundles';
import { copySample } from '../support/brokenSamples';
import { readTensorFile } from '../support/reference/readTensors';
import { temporaryFolder } from '../support/temporaryFolder';

/** The command line as scripts call it: a process, its exit code, its two streams. */

const bundles = useEngineBundles();
const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-command-line-'));
const sample = path.join(folder, 'sample');
const file = (name: string) => path.join(folder, name);

beforeAll(async () => {
  await mkdir(sample);
  await copySample(sample);
  await writeFile(file('ids.json'), '[[5, 6, 7, 8], [9, 10, 11, 12]]');
  await writeFile(
    file('text.json'),
    JSON.stringify({ one: ['copy abc>abc\nsort cab>abc\n'], two: ['upper abc>ABC\n'] }),
  );
  const x = Float32Array.from({ length: 6 * 128 }, (_, at) => Math.sin(at));
  await writeSafetensors(file('x.safetensors'), [{ name: 'x', dtype: 'F32', shape: [2, 3, 128], data: bytesOf(x) }]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(words: readonly string[], options: CommandLineOptions = {}): Promise<CommandLineRun> {
  const environment = { MOE_TUNER_CACHE: file('cache'), ...options.environment };
  return runCommandLine(bundles().commandLine, words, { ...options, environment });
}

/** Runs on the CPU with --json, and reads the one document that standard output must be. */
async function json<Schema extends z.ZodType>(words: readonly string[], schema: Schema): Promise<z.output<Schema>> {
  const { code, stdout, stderr } = await run([...words, '--provider', 'cpu', '--threads', '2', '--json']);
  expect(stderr).not.toMatch(/error/i);
  expect(code).toBe(0);
  return schema.parse(JSON.parse(stdout));
}

const numbers = z.array(z.number());
const profileSchema = z.looseObject({
  layers: z.array(
    z.object({ index: z.number(), raw: numbers, relativeSquared: numbers, outputNorm: z.number() }).loose(),
  ),
  samples: z.number(),
  coefficientOfVariation: z.number(),
  seconds: z.number(),
  provider: z.literal('cpu'),
  resumedLayers: z.number(),
});

describe('--json prints the documented fields and nothing else', () => {
  test('doctor', async () => {
    const report = z.object({
      name: z.string(),
      available: z.boolean(),
      reason: z.string(),
      gflops: z.number().nullable(),
    });
    const schema = z.looseObject({
      providers: z.array(report),
      selected: z.string(),
      versions: z.record(z.string(), z.string()),
    });
    const { code, stdout } = await run(['doctor', '--json']);
    expect(code).toBe(0);
    const { providers, versions } = schema.parse(JSON.parse(stdout));
    expect(providers.find(({ name }) => name === 'cpu')).toMatchObject({ available: true });
    expect(providers.find(({ name }) => name === 'cpu')!.gflops).toBeGreaterThan(1);
    expect(providers.every(({ available, reason }) => available || reason.length > 10)).toBe(true);
    expect(stdout).not.toContain('\\u001b');
    expect(versions).toHaveProperty('onnxruntime');
  });

  test('inspect', async () => {
    const schema = z.looseObject({
      family: z.string(),
      modelType: z.literal('qwen2_moe'),
      parameters: z.number(),
      activeParameters: z.number(),
      bytes: z.number(),
      expertBytes: z.number(),
      layers: z.array(z.looseObject({ index: z.number(), sharedExperts: z.number(), expertBytes: z.number() })),
      warnings: z.array(z.string()),
    });
    const result = await json(['inspect', sample], schema);
    expect(result.layers).toHaveLength(8);
    expect(result.layers[0]).toMatchObject({ index: 0, moe: true, experts: 16, active: 4, sharedExperts: 1 });
    expect(result.expertBytes).toBe(8 * 16 * 3 * 64 * 128 * 2);
    expect(result.activeParameters).toBe(result.parameters - 8 * 12 * 3 * 64 * 128);
  });

  test('moe', async () => {
    const words = ['moe', sample, '--layer', '3', '--input', file('x.safetensors'), '--out', file('y.safetensors')];
    const schema = z.looseObject({
      layer: z.literal(3),
      tokens: z.literal(6),
      activeExperts: z.number(),
      seconds: z.number(),
    });
    expect((await json(words, schema)).activeExperts).toBe(4);
    const whole = readTensorFile(file('y.safetensors')).get('y')!;
    expect(whole.shape).toEqual([2, 3, 128]);
    expect((await json([...words, '--active-experts', '2'], schema)).activeExperts).toBe(2);
    expect(readTensorFile(file('y.safetensors')).get('y')!.data).not.toEqual(whole.data);
  });

  test('forward, with one k, a k per layer, and the inputs and outputs of the blocks', async () => {
    const schema = z.looseObject({ tokens: z.literal(8), seconds: z.number(), provider: z.literal('cpu') });
    const logits = async (...words: string[]) => {
      const out = file('logits.safetensors');
      await json(['forward', sample, '--ids', file('ids.json'), '--out', out, ...words], schema);
      return readTensorFile(out);
    };
    const whole = await logits('--moe-io');
    expect(whole.get('logits')!.shape).toEqual([2, 4, 97]);
    const names = Array.from({ length: 8 }, (_, layer) => [`moe_in.${layer}`, `moe_out.${layer}`]).flat();
    expect([...whole.keys()].sort()).toEqual([...names, 'logits'].sort());
    expect(whole.get('moe_out.7')!.shape).toEqual([2, 4, 128]);
    const four = await logits('--active-experts', '4');
    expect([...four.keys()]).toEqual(['logits']);
    expect(four.get('logits')!.data).toEqual(whole.get('logits')!.data);
    const list = await logits('--active-experts', '2,2,2,2,2,2,2,2');
    expect(list.get('logits')!.data).toEqual((await logits('--active-experts', '2')).get('logits')!.data);
    expect(list.get('logits')!.data).not.toEqual(whole.get('logits')!.data);
  });

  test('profile: the same seed gives the same numbers, another one others', async () => {
    const profile = (seed: string, cache: string) =>
      json(['profile', sample, '--samples', '512', '--seed', seed, '--cache', file(cache)], profileSchema);
    const first = await profile('3', 'one');
    expect(first.layers).toHaveLength(8);
    expect(first.samples).toBe(512);
    expect(first.layers.every(({ raw, relativeSquared }) => raw.length === 4 && relativeSquared.length === 4)).toBe(
      true,
    );
    const again = await profile('3', 'two');
    expect(again.resumedLayers).toBe(0);
    expect(again.layers).toEqual(first.layers);
    expect((await profile('4', 'two')).layers).not.toEqual(first.layers);
  });

  test('budget and evaluate: a plan is written, updated and measured', async () => {
    const plan = file('sample.moeplan.json');
    const schema = z.looseObject({
      activeExperts: numbers,
      total: z.number(),
      predicted: z.number(),
      objective: z.literal('lexi'),
      solver: z.literal('exact'),
      front: z.array(z.looseObject({ total: z.number(), activeExperts: numbers })),
    });
    const words = ['budget', sample, '--objective', 'lexi', '--samples', '512', '--out', plan];
    const chosen = await json([...words, '--average', '2.5'], schema);
    expect(chosen.total).toBe(20);
    expect(chosen.activeExperts.reduce((sum, k) => sum + k)).toBe(20);
    expect(chosen.front.length).toBe(25);
    const text = await readFile(plan, 'utf8');
    expect(JSON.parse(text)).toMatchObject({ activeExperts: chosen.activeExperts });
    await json([...words, '--average', '2.5'], schema);
    expect(await readFile(plan, 'utf8')).toBe(text);

    const measured = await json(
      ['evaluate', sample, '--plan', plan, '--text', file('text.json'), '--tasks', path.join(sample, 'tasks.jsonl')],
      z.looseObject({
        datasets: z.record(
          z.string(),
          z.looseObject({
            perplexity: z.number().positive(),
            tokens: z.number(),
            baselinePerplexity: z.number().positive(),
            kl: z.number().positive(),
            top1Agreement: z.number().positive().max(1),
          }),
        ),
        geometricMeanPerplexity: z.number(),
        tasks: z.object({ copy: z.number() }),
        meanAccuracy: z.number(),
        seconds: z.number(),
      }),
    );
    expect(Object.keys(measured.datasets)).toEqual(['one', 'two']);
    expect(measured.activeExperts).toEqual(chosen.activeExperts);
    const baseline = await json(
      ['evaluate', sample, '--text', file('text.json')],
      z.looseObject({ datasets: z.record(z.string(), z.looseObject({ perplexity: z.number() })) }),
    );
    for (const [name, { baselinePerplexity }] of Object.entries(measured.datasets)) {
      expect(baseline.datasets[name]!.perplexity).toBeCloseTo(baselinePerplexity, 5);
      expect(baseline.datasets[name]).not.toHaveProperty('kl');
    }
  });
});

describe('without --json', () => {
  test('people get a table on standard output and plain progress lines on standard error', async () => {
    const words = ['profile', sample, '--samples', '64', '--provider', 'cpu', '--cache', file('people')];
    const { code, stdout, stderr } = await run(words);
    expect(code).toBe(0);
    expect(stdout).toMatch(/layer\s+k=1\s+k=2\s+k=3\s+k=4/);
    expect(stderr).toMatch(/^\d+% Profiling MoE layer/m);
    expect(stdout + stderr).not.toMatch(/[\r\x1b]/);
  });
});

describe('wrong usage exits with 2 and prints no result', () => {
  const impossible: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no command', [], /Usage|Commands/],
    ['unknown command', ['tune', 'x'], /unknown command/i],
    ['no checkpoint', ['profile'], /missing required argument/],
    ['unknown option', ['inspect', 'SAMPLE', '--speed', '9'], /unknown option '--speed'/],
    ['missing required option', ['moe', 'SAMPLE', '--layer', '0'], /required option/],
    ['unknown provider', ['profile', 'SAMPLE', '--provider', 'quantum'], /quantum.*Allowed choices/],
    ['unknown objective', ['budget', 'SAMPLE', '--objective', 'luck'], /luck.*Allowed choices/],
    ['negative threads', ['inspect', 'SAMPLE', '--threads', '-1'], /at least 0/],
    ['samples that are no number', ['profile', 'SAMPLE', '--samples', 'many'], /above 0/],
    ['windows of one token', ['evaluate', 'SAMPLE', '--text', 'TEXT', '--length', '1'], /--length/],
    ['nothing to evaluate on', ['evaluate', 'SAMPLE'], /--text, --tasks/],
    [
      'plan and active experts',
      ['evaluate', 'SAMPLE', '--tasks', 'TASKS', '--plan', 'x', '--active-experts', '2'],
      /not both/,
    ],
    [
      'more active experts than experts',
      ['evaluate', 'SAMPLE', '--tasks', 'TASKS', '--active-experts', '17'],
      /1 to 16/,
    ],
    [
      'active experts of too few layers',
      ['evaluate', 'SAMPLE', '--tasks', 'TASKS', '--active-experts', '2,2'],
      /8 MoE layers/,
    ],
    [
      'a layer that does not exist',
      ['moe', 'SAMPLE', '--layer', '8', '--input', 'X', '--out', 'OUT'],
      /MoE layers are 0/,
    ],
    ['token ids beyond the vocabulary', ['forward', 'SAMPLE', '--ids', 'BAD', '--out', 'OUT'], /97/],
    ['a budget that cannot be', ['budget', 'SAMPLE', '--total', '7', '--objective', 'uniform'], /8/],
    [
      'average and total',
      ['budget', 'SAMPLE', '--total', '16', '--average', '2', '--objective', 'uniform'],
      /not both/,
    ],
    ['a folder that does not exist', ['inspect', '/nowhere/at/all'], /nowhere/],
  ];

  test.each(impossible)('%s', async (_, words, message) => {
    const paths: Readonly<Record<string, string>> = {
      SAMPLE: sample,
      TEXT: file('text.json'),
      TASKS: path.join(sample, 'tasks.jsonl'),
      X: file('x.safetensors'),
      BAD: file('bad-ids.json'),
      OUT: file('never.safetensors'),
    };
    await writeFile(file('bad-ids.json'), '[[1, 97]]');
    const before = (await readdir(folder)).sort();
    const { code, stdout, stderr } = await run(words.map((word) => paths[word] ?? word));
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expect((await readdir(folder)).filter((name) => name !== 'cache')).toEqual(
      before.filter((name) => name !== 'cache'),
    );
  });

  test('a provider that this machine lacks, with the reason and the way out', async () => {
    // Core ML exists on macOS only, DirectML on Windows only.
    const provider = process.platform === 'darwin' ? 'directml' : 'coreml';
    const { code, stdout, stderr } = await run([
      'profile',
      sample,
      '--samples',
      '64',
      '--provider',
      provider,
      '--json',
    ]);
    expect(stderr).toMatch(new RegExp(`${provider} cannot be used. .*${process.platform}.*--provider auto or cpu`));
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

test('--help and --version exit with 0, and every command takes --provider, --threads and --json', async () => {
  expect(await run(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  expect(await run(['help', 'profile'])).toMatchObject({ code: 0, stdout: expect.stringContaining('--samples') });
  // One process shows the exit code; the words of all commands need none.
  for (const { usage } of commandTable) {
    const name = usage.split(' ', 1)[0]!;
    const program = await createProgram([name, '--help'], folder);
    const help = program.commands.find((command) => command.name() === name)!.helpInformation();
    for (const option of ['--provider', '--threads', '--json']) {
      expect(help, name).toContain(option);
    }
  }
});

test('an output that cannot be written exits with 1 and leaves nothing', async () => {
  const out = path.join(folder, 'missing folder', 'out.safetensors');
  const { code, stdout, stderr } = await run([
    'forward',
    sample,
    '--ids',
    file('ids.json'),
    '--out',
    out,
    '--provider',
    'cpu',
  ]);
  expect(stderr).toMatch(/missing folder.*could not be written.*create it first/s);
  expect(stdout).toBe('');
  expect(code).toBe(1);
  expect(await readdir(folder)).not.toContain('missing folder');
});

test('Ctrl-C ends a profile with 130; the next run goes on from its layers to the same numbers', async () => {
  const root = await temporaryFolder();
  const words = (cache: string) =>
    [
      'profile',
      sample,
      '--samples',
      '16384',
      '--provider',
      'cpu',
      '--json',
      '--cache',
      path.join(root, cache),
    ] as const;
  const stopped = await run(words('cache'), { interruptAt: /^25%/m });
  expect(stopped.stderr).toMatch(/Stopping after the current step/);
  expect(stopped.stdout).toBe('');
  expect(stopped.code).toBe(130);
  const resumed = profileSchema.parse(JSON.parse((await run(words('cache'))).stdout));
  expect(resumed.resumedLayers).toBeGreaterThanOrEqual(2);
  expect(resumed.resumedLayers).toBeLessThan(8);
  const whole = profileSchema.parse(JSON.parse((await run(words('empty'))).stdout));
  expect(whole.resumedLayers).toBe(0);
  expect(resumed.layers).toEqual(whole.layers);
});
