import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import type { ApplyReport, InterruptedApply } from '../support/interruptedApply';
import { randomPrunePlan } from '../support/prunePlan';
import { root as repository } from '../../scripts/support/paths.mjs';

const golden = path.resolve(import.meta.dirname, '../golden/families/olmoe');
const scratch = path.join(repository, 'test-results', `interrupted-${process.pid}`);
const bundle = path.join(scratch, 'interruptedApply.cjs');
const checkpoint = path.join(scratch, 'source');
const plan = path.join(scratch, 'half.moeplan.json');
const written = path.join(scratch, 'undisturbed', 'written');
const run = promisify(execFile);
let sourceBefore: Readonly<Record<string, string>>;
let undisturbed: Readonly<Record<string, string>>;
/** Changes of the file system that applying the plan makes, in order. */
let changes: readonly string[];

/** Hashes of all files of a folder. */
async function hashes(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const hash = async (name: string) =>
    createHash('sha256')
      .update(await readFile(path.join(folder, name)))
      .digest('hex');
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await hash(name)] as const)));
}

/** Runs the program in a folder of its own; `shell` are words before it, which set something up. */
async function applied(
  name: string,
  request: Pick<InterruptedApply, 'at' | 'deed'>,
  shell: (folder: string) => readonly string[] = () => [],
) {
  const folder = path.join(scratch, name);
  await mkdir(folder);
  const own: InterruptedApply = { checkpoint, plan, out: path.join(folder, 'written'), ...request };
  const [command, ...words] = [...shell(folder), process.execPath, bundle, JSON.stringify(own)];
  const started = run(command, words);
  const ended = await started.then(
    ({ stdout }) => ({ signal: undefined, report: JSON.parse(stdout) as ApplyReport }),
    (error: unknown) => {
      const { signal, stderr } = error as { readonly signal?: string; readonly stderr?: string };
      if (signal !== 'SIGKILL') {
        throw new Error(stderr, { cause: error });
      }
      return { signal, report: undefined };
    },
  );
  return { folder, ...ended };
}

beforeAll(async () => {
  await mkdir(scratch, { recursive: true });
  await cp(golden, checkpoint, { recursive: true });
  await writeFile(plan, JSON.stringify(await randomPrunePlan(checkpoint, 0.5)));
  const entry = path.resolve(import.meta.dirname, '../support/interruptedApply.ts');
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    outfile: bundle,
    external: ['onnxruntime-node'],
    mainFields: ['module', 'main'],
    define: { 'import.meta.url': 'bundledModuleUrl' },
    banner: { js: "const bundledModuleUrl = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'error',
  });
  sourceBefore = await hashes(checkpoint);
  const { report } = await applied('undisturbed', {});
  expect([report?.error, report?.left]).toEqual([undefined, ['written']]);
  ({ changes } = report!);
  undisturbed = await hashes(written);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('a folder is complete or absent, and its source as it was', () => {
  test('whenever the process is killed', async () => {
    const last = (name: string) => changes.lastIndexOf(name);
    const renamed = last('rename');
    // The last change of every kind and the first bytes of the weights; what follows the renaming is the flush of the folder around.
    const moments = [...new Set([...changes.map(last), changes.indexOf('write')])].sort((left, right) => left - right);
    expect(moments.map((at) => changes[at])).toEqual(
      expect.arrayContaining(['mkdir', 'write text', 'write', 'sync', 'rm', 'rename']),
    );
    expect(moments.at(-1)).toBeGreaterThan(renamed);
    const ends = await Promise.all(moments.map((at) => applied(`killed-${at}`, { at, deed: 'die' })));
    for (const [position, { signal, folder: around }] of ends.entries()) {
      const at = moments[position]!;
      expect(signal).toBe('SIGKILL');
      const left = await readdir(around);
      const done = at > renamed;
      expect(left.includes('written'), `${at}: ${changes[at]}`).toBe(done);
      const partial = left.filter((name) => name !== 'written');
      expect(partial.every((name) => /^\.written\.[0-9a-f]{12}\.partial$/.test(name))).toBe(true);
      if (!done) {
        await apply({ checkpoint, plan, target: 'huggingface', out: path.join(around, 'written') }, quietJob());
      }
      // What the dead process left is gone, and the second attempt is the same folder to the byte.
      expect(await readdir(around)).toEqual(['written']);
      expect(await hashes(path.join(around, 'written')), `${at}: ${changes[at]}`).toEqual(undisturbed);
    }
    expect(await hashes(checkpoint)).toEqual(sourceBefore);
  });

  /** Runs the words that follow it in a folder that is a file system of its own with room for one more folder like the undisturbed. */
  const smallDisk = (kilobytes: number) => (folder: string) => [
    'unshare',
    '-rm',
    'sh',
    '-c',
    `mount -t tmpfs -o size=${kilobytes}k tmpfs "$0" && exec "$@"`,
    folder,
  ];

  test('when the disk is full in the middle of the weights and between files', async (context) => {
    try {
      const [command = '', ...words] = smallDisk(64)(scratch);
      execFileSync(command, [...words, 'true'], { stdio: 'ignore' });
    } catch {
      context.skip('A file system of its own needs Linux with user namespaces.');
    }
    const sizes = (await readdir(written)).map(async (name) => (await stat(path.join(written, name))).size);
    const needed = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    const moments = [changes.lastIndexOf('write'), changes.indexOf('write text'), changes.lastIndexOf('write text')];
    const shell = smallDisk(Math.ceil(needed / 1024) + 256);
    const ends = await Promise.all(moments.map((at) => applied(`filled-${at}`, { at, deed: 'fill' }, shell)));
    for (const { report: ended } of ends) {
      expect(ended?.error).toEqual({ code: 'writeFailed', wayOut: expect.stringMatching(/disk is full/) as string });
      expect(ended?.left).toEqual(['filler']);
    }
    expect(await hashes(checkpoint)).toEqual(sourceBefore);
  });

  test.skipIf(process.platform === 'win32')('when the system refuses the rest of a file', async () => {
    const { size } = await stat(path.join(written, 'model.safetensors'));
    // In blocks of 512 bytes.
    const shell = () => ['sh', '-c', `ulimit -f ${Math.floor(size / 1024)} && exec "$@"`, 'sh'];
    const { report } = await applied('refused', {}, shell);
    expect(report!.error).toMatchObject({ code: 'writeFailed' });
    expect(report!.changes).toContain('write');
    expect(report!.left).toEqual([]);
    expect(await hashes(checkpoint)).toEqual(sourceBefore);
  });
});
