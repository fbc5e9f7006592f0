import { mkdtempSync, readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { readStatistics } from '../../engine/measure/calibration/statisticsFile';
import { samplePath } from '../support/brokenSamples';
import { runCommandLine, type CommandLineOptions } from '../support/commandLine';
import { useEngineBundles } from '../support/engineBundles';

const bundles = useEngineBundles();
const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-calibrate-'));
const file = (name: string) => path.join(folder, name);

beforeAll(() =>
  writeFile(
    file('text.jsonl'),
    [
      { task: 'copy', text: 'copy abc>abc\n' },
      { task: 'sort', text: 'sort cab>abc\n' },
    ]
      .map((line) => JSON.stringify(line))
      .join('\n'),
  ),
);
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(words: readonly string[], options: CommandLineOptions = {}) {
  return runCommandLine(
    bundles().commandLine,
    ['calibrate', samplePath, ...words, '--provider', 'cpu', '--threads', '2'],
    { ...options, environment: { MOE_TUNER_CACHE: file('cache') } },
  );
}

test('prints the document of the contract and writes the file', async () => {
  const out = file('statistics.safetensors');
  const words = ['--text', file('text.jsonl'), '--per-document', '--length', '48', '--sample', '4', '--out', out];
  const { code, stdout, stderr } = await run([...words, '--json']);
  expect(stderr).not.toMatch(/error/i);
  expect(code).toBe(0);
  const result = z
    .looseObject({
      tokens: z.number(),
      layers: z.array(
        z.looseObject({
          index: z.number(),
          counts: z.array(z.number()),
          coverage: z.looseObject({ belowShare: z.array(z.number()), belowTokens: z.array(z.number()) }),
        }),
      ),
    })
    .parse(JSON.parse(stdout));
  expect(result.layers.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  for (const { counts } of result.layers) {
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(4 * result.tokens);
  }
  expect((await readStatistics(out)).statistics.tags).toEqual(['copy', 'sort']);

  const table = await run(words);
  expect(table.code).toBe(0);
  expect(table.stdout).toMatch(/never chosen/);
  expect(table.stdout).toMatch(/copy \d+, sort \d+/);
});

test('wrong usage ends with 2 and writes nothing', async () => {
  const before = readdirSync(folder);
  const out = file('nothing.safetensors');
  for (const [words, message] of [
    [['--out', out], /--text/],
    [['--text', file('text.jsonl')], /--out/],
    [['--text', file('missing.txt'), '--out', out], /missing\.txt/],
    [['--text', file('text.jsonl'), '--out', out, '--length', '1'], /--length/],
  ] as const) {
    const { code, stdout, stderr } = await run(words);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  }
  expect(readdirSync(folder)).toEqual(before);
});

test('a run that is killed or interrupted continues; an interrupted one ends with 130', async () => {
  const text = path.join(samplePath, 'calibration.jsonl');
  const words = ['--text', text, '--per-document', '--tokens', '600', '--sample', '4', '--seed', '7', '--json'];
  const out = file('continued.safetensors');
  const killed = await run([...words, '--out', out], { interruptAt: /Layer 2 of 8/, kill: true });
  expect([killed.code, killed.stdout]).toEqual([null, '']);
  const stopped = await run([...words, '--out', out], { interruptAt: /Layer 4 of 8/ });
  expect([stopped.code, stopped.stdout]).toEqual([130, '']);
  expect(readdirSync(folder)).not.toContain('continued.safetensors');
  const { code, stdout } = await run([...words, '--out', out]);
  expect(code).toBe(0);
  const { resumedLayers } = z.object({ resumedLayers: z.number() }).parse(JSON.parse(stdout));
  expect(resumedLayers).toBeGreaterThan(2);
  expect(resumedLayers).toBeLessThan(8);
});
