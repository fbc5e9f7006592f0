import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { asWords } from '../support/brokenRequests';
import { brokenSamples, copySample } from '../support/brokenSamples';
import { runCommandLine, type CommandLineRun } from '../support/commandLine';
import { useEngineBundles } from '../support/engineBundles';
import { hostileCheckpoints, type HostileCheckpoint } from '../support/hostileCheckpoints';
import { temporaryFolder } from '../support/temporaryFolder';

const bundles = useEngineBundles();

async function run(root: string, words: readonly string[]): Promise<CommandLineRun> {
  const cache = path.join(root, 'cache');
  return runCommandLine(bundles().commandLine, [...words, '--provider', 'cpu', '--cache', cache, '--json']);
}

/** One sentence for a person: no result, no stack. */
function expectRefusal({ code, stdout, stderr }: CommandLineRun, file: string): void {
  expect(stderr).toMatch(/^error: /m);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stderr).toContain(file);
  expect(stdout).toBe('');
  expect(code).toBe(2);
}

/** A hostile checkpoint in a folder with a space and an umlaut, and what a command says of it. */
async function refusal(checkpoint: HostileCheckpoint, words: (folder: string) => readonly string[]): Promise<void> {
  const { build, file, place, message } = checkpoint;
  const root = await temporaryFolder();
  const folder = path.join(root, 'model folder ü');
  const outside = path.join(root, 'outside');
  await Promise.all([mkdir(folder), mkdir(outside)]);
  await build(folder, outside);
  const before = await readdir(folder);
  const refused = await run(root, words(folder));
  expectRefusal(refused, path.join(folder, file));
  expect(refused.stderr).toMatch(message);
  expect(refused.stderr).toMatch(unanchored(place ?? /./));
  expect(await readdir(folder)).toEqual(before);
}

describe('a checkpoint that is hostile is refused with exit code 2', () => {
  test.each(hostileCheckpoints)('$name', (checkpoint) => refusal(checkpoint, (folder) => ['inspect', folder]));
});

// The same code opens the checkpoint for every command: one of each kind shows that nothing is written before.
describe('a command that would write leaves no file in it', () => {
  const oneOfEachKind = hostileCheckpoints.filter(
    ({ code }, at) => hostileCheckpoints.findIndex((other) => other.code === code) === at,
  );
  test.each(oneOfEachKind)('$code: $name', (checkpoint) =>
    refusal(checkpoint, (folder) => ['budget', folder, '--total', '4', '--out', path.join(folder, 'out.moeplan.json')]),
  );
});

describe('the sample, broken, is refused with exit code 2', () => {
  test.each(brokenSamples)('$name', async ({ breakIt, request, file, place, message }) => {
    const root = await temporaryFolder();
    const folder = path.join(root, 'model');
    await mkdir(folder);
    await copySample(folder);
    await breakIt(folder);
    const before = await readdir(folder);
    const refused = await run(root, asWords(folder, request));
    expectRefusal(refused, path.join(folder, file));
    expect(refused.stderr).toMatch(message);
    expect(refused.stderr).toMatch(unanchored(place));
    expect(await readdir(folder)).toEqual(before);
  });
});

/** The place stands in the middle of the printed line. */
function unanchored(place: RegExp): RegExp {
  return new RegExp(place.source.replace(/^\^|\$$/g, ''));
}
