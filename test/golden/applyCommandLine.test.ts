import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { copySample } from '../support/brokenSamples';
import { runCommandLine } from '../support/commandLine';
import { useEngineBundles } from '../support/engineBundles';
import { readTensorFile } from '../support/reference/readTensors';
import { randomPrunePlan } from '../support/prunePlan';
import { temporaryFolder } from '../support/temporaryFolder';

/** `apply` as scripts call it, and what the written checkpoint is to the other commands. */

const bundles = useEngineBundles();
const activeExperts = [4, 3, 2, 1, 4, 3, 2, 1];

let root: string;
let sample: string;
let plan: string;

beforeEach(async () => {
  root = await temporaryFolder();
  sample = path.join(root, 'sample');
  plan = path.join(root, 'some.moeplan.json');
  await mkdir(sample);
  await copySample(sample);
  await writeFile(plan, JSON.stringify({ version: 1, activeExperts }));
});

function run(...words: readonly string[]) {
  const environment = { MOE_TUNER_CACHE: path.join(root, 'cache') };
  return runCommandLine(bundles().commandLine, words, { environment });
}

const applied = z.looseObject({
  target: z.string(),
  files: z.array(z.object({ name: z.string(), bytes: z.number() })),
  bytes: z.number(),
  predictedBytes: z.number(),
  notes: z.array(z.string()),
});

describe('apply', () => {
  test('writes a checkpoint that inspect and forward take with the numbers of the plan', async () => {
    const out = path.join(root, 'tuned');
    const { code, stdout, stderr } = await run(
      'apply',
      sample,
      '--plan',
      plan,
      '--target',
      'huggingface',
      '--out',
      out,
      '--json',
    );
    expect(stderr).toMatch(/^info: Hugging Face Transformers reads one number for all layers; generated code/m);
    expect(code).toBe(0);
    const result = applied.parse(JSON.parse(stdout));
    expect(result.target).toBe('huggingface');
    expect(result.predictedBytes).toBe(result.bytes);
    expect(result.files.map(({ name }) => name).sort()).toEqual((await readdir(out)).sort());

    const inspected = await run('inspect', out, '--json');
    const { layers } = z
      .looseObject({ layers: z.array(z.looseObject({ active: z.number() })) })
      .parse(JSON.parse(inspected.stdout));
    expect(layers.map(({ active }) => active)).toEqual(activeExperts);

    const ids = path.join(root, 'ids.json');
    await writeFile(ids, '[[5, 6, 7, 8, 9, 10]]');
    const logits = async (checkpoint: string, ...words: string[]) => {
      const file = path.join(root, 'logits.safetensors');
      const ended = await run('forward', checkpoint, '--ids', ids, '--out', file, '--provider', 'cpu', ...words);
      expect(ended.code).toBe(0);
      return readTensorFile(file).get('logits')!.data;
    };
    const tuned = await logits(out);
    expect(tuned).toEqual(await logits(sample, '--plan', plan));
    expect(tuned).not.toEqual(await logits(sample));
  });

  test('writes a pruned checkpoint that inspect and forward take like any other', async () => {
    const out = path.join(root, 'pruned');
    await writeFile(plan, JSON.stringify(await randomPrunePlan(sample, 0.5)));
    const { code, stdout } = await run(
      'apply',
      sample,
      '--plan',
      plan,
      '--target',
      'huggingface',
      '--out',
      out,
      '--json',
    );
    expect(code).toBe(0);
    const result = applied.extend({ experts: z.array(z.number()) }).parse(JSON.parse(stdout));
    expect([result.experts, result.predictedBytes]).toEqual([activeExperts.map(() => 8), result.bytes]);
    expect((await readdir(root)).filter((name) => name.includes('partial'))).toEqual([]);
    const inspected = await run('inspect', out, '--json');
    const { layers } = z
      .looseObject({ layers: z.array(z.looseObject({ experts: z.number() })) })
      .parse(JSON.parse(inspected.stdout));
    expect(layers.map(({ experts }) => experts)).toEqual(result.experts);
  });

  test('prints what was written, for people', async () => {
    await writeFile(plan, JSON.stringify({ version: 1, activeExperts: activeExperts.map(() => 2) }));
    const out = path.join(root, 'line');
    const { code, stdout } = await run('apply', sample, '--plan', plan, '--target', 'llama.cpp', '--out', out);
    expect(code).toBe(0);
    expect(stdout).toMatch(/2 files, .*, as predicted/);
    expect(stdout).toContain('--override-kv qwen2moe.expert_used_count=int:2');
  });

  test.each([
    [
      'llama.cpp',
      /--target: llama\.cpp cannot load different numbers .*--override-kv takes no list.*huggingface, vllm/,
    ],
    ['sglang', /--target: SGLang cannot load different numbers/],
    ['tensorrt', /Allowed choices are huggingface, vllm, sglang, llama\.cpp, onnx, compressed-tensors/],
  ])('--target %s ends with 2, its reason and nothing written', async (target, message) => {
    const out = path.join(root, 'tuned');
    const { code, stdout, stderr } = await run(
      'apply',
      sample,
      '--plan',
      plan,
      '--target',
      target,
      '--out',
      out,
      '--json',
    );
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.replaceAll('\n', ' ')).toMatch(message);
    await expect(stat(out)).rejects.toThrow(/ENOENT/);
    expect((await readdir(root)).filter((name) => name.includes('partial'))).toEqual([]);
  });

  test('does not write over anything, and asks for what is missing', async () => {
    const { code, stderr } = await run(
      'apply',
      sample,
      '--plan',
      plan,
      '--target',
      'huggingface',
      '--out',
      sample + '-2',
    );
    expect([code, stderr.includes('error')]).toEqual([0, false]);
    const again = await run('apply', sample, '--plan', plan, '--target', 'huggingface', '--out', sample + '-2');
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/sample-2: There is already something of this name\./);
    expect((await run('apply', sample, '--target', 'huggingface', '--out', root)).code).toBe(2);
  });
});
