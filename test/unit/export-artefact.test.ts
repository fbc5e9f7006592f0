import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { diskOutput, type ArtefactOutput } from '../../engine/export/artefactOutput';
import { inlineCode } from '../../engine/export/modelCard';
import { apply, listTargets } from '../../engine/jobs/apply';
import { history } from '../../engine/jobs/history';
import { inspect } from '../../engine/jobs/inspect';
import { profile } from '../../engine/jobs/profile';
import { quietJob, type JobContext } from '../../engine/measure/jobContext';
import type { TargetName } from '../../engine/protocol/apply';
import { profileParamsSchema } from '../../engine/protocol/sensitivity';
import { copySample, samplePath } from '../support/brokenSamples';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { compilePython, hasPython, runPython } from '../support/python';
import { temporaryFolder } from '../support/temporaryFolder';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const golden = path.resolve(import.meta.dirname, '../golden/families');

interface Prepared {
  readonly root: string;
  readonly checkpoint: string;
  readonly plan: string;
  readonly out: string;
  readonly run: (target: TargetName, job?: JobContext, output?: ArtefactOutput) => ReturnType<typeof apply>;
}

async function prepare(checkpoint: string, activeExperts: readonly number[]): Promise<Prepared> {
  const root = await temporaryFolder();
  const plan = path.join(root, 'some.moeplan.json');
  await writeFile(plan, JSON.stringify({ version: 1, activeExperts }));
  const out = path.join(root, 'tuned');
  const run: Prepared['run'] = (target, job = quietJob(), output = diskOutput) =>
    apply({ checkpoint, plan, target, out }, job, { output });
  return { root, checkpoint, plan, out, run };
}

/** Names, sizes and hashes of all files below a folder. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true })).sort();
  const found: Record<string, string> = {};
  for (const name of names) {
    const file = path.join(folder, name);
    if ((await stat(file)).isFile()) {
      found[name] = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
    }
  }
  return found;
}

async function json(file: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
}

async function tiny(name: string): Promise<string> {
  const folder = path.join(await temporaryFolder(), name);
  await mkdir(folder);
  writeTinyCheckpoint(
    tinyCheckpoints.find((checkpoint) => checkpoint.name === name)!,
    folder,
  );
  return folder;
}

const samplePlan = [4, 3, 2, 1, 4, 3, 2, 1];

describe('a checkpoint for Transformers', () => {
  test('has the same weights, the tokenizer, the tuned config, the loader and its provenance', async () => {
    const { out, run } = await prepare(samplePath, samplePlan);
    const before = await contents(samplePath);
    const result = await run('huggingface');
    const after = await contents(out);
    expect(await contents(samplePath)).toEqual(before);
    for (const name of ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
      expect(after[name], name).toBe(before[name]);
    }
    expect(Object.keys(after).sort()).toEqual(result.files.map(({ name }) => name).sort());
    expect(Object.keys(after)).not.toContain('tasks.jsonl');
    const sizes = await Promise.all(Object.keys(after).map(async (name) => (await stat(path.join(out, name))).size));
    expect(result.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(result.predictedBytes).toBe(result.bytes);

    const { moe_tuner_active_experts: list, ...config } = await json(path.join(out, 'config.json'));
    expect(list).toEqual(samplePlan);
    expect(config).toEqual(await json(path.join(samplePath, 'config.json')));
    const tune = await json(path.join(out, 'moe_tune.json'));
    expect(tune).toMatchObject({
      fingerprint: result.fingerprint,
      family: 'qwen2_moe',
      plan: { activeExperts: samplePlan },
    });
    expect(tune.activeExperts).toEqual(Object.fromEntries(samplePlan.map((k, layer) => [layer, k])));

    const summary = await inspect(out);
    expect(summary.layers.map(({ active }) => active)).toEqual(samplePlan);
    expect(summary.fingerprint).toBe((await inspect(samplePath)).fingerprint);
  });

  test('is the same bytes again for the same plan', async () => {
    const one = await prepare(samplePath, samplePlan);
    const other = await prepare(samplePath, samplePlan);
    await one.run('huggingface');
    await other.run('huggingface');
    expect(await contents(one.out)).toEqual(await contents(other.out));
  });

  test('settings that a person may edit are not shared with the original, and nothing is a symbolic link', async () => {
    const checkpoint = path.join(await temporaryFolder(), 'model');
    await mkdir(checkpoint);
    await copySample(checkpoint);
    const { out, run } = await prepare(checkpoint, samplePlan);
    await run('huggingface');
    const original = await readFile(path.join(checkpoint, 'tokenizer_config.json'), 'utf8');
    await writeFile(path.join(out, 'tokenizer_config.json'), '{}');
    expect(await readFile(path.join(checkpoint, 'tokenizer_config.json'), 'utf8')).toBe(original);
    await rm(checkpoint, { recursive: true });
    expect((await inspect(out)).layers.map(({ active }) => active)).toEqual(samplePlan);
  });

  test('gets the bytes where neither clones nor links can be made', async () => {
    const { out, run } = await prepare(samplePath, samplePlan);
    const copying: ArtefactOutput = {
      ...diskOutput,
      place: (file, place, copied) => diskOutput.place({ ...file, shares: false }, place, copied),
    };
    await run('huggingface', quietJob(), copying);
    const name = 'model.safetensors';
    expect((await contents(out))[name]).toBe((await contents(samplePath))[name]);
    expect((await stat(path.join(out, name))).ino).not.toBe((await stat(path.join(samplePath, name))).ino);
  });

  test('says the number in the config alone where all layers have the same', async () => {
    const { out, run } = await prepare(
      samplePath,
      samplePlan.map(() => 2),
    );
    const result = await run('huggingface');
    expect(result.delivery).toBe('scalar');
    expect(await readdir(out)).not.toContain('moe_tuner_loader.py');
    expect(await json(path.join(out, 'config.json'))).toEqual({
      ...(await json(path.join(samplePath, 'config.json'))),
      num_experts_per_tok: 2,
    });
  });

  test('can be tuned again, back to one number', async () => {
    const first = await prepare(samplePath, samplePlan);
    await first.run('huggingface');
    const second = await prepare(
      first.out,
      samplePlan.map(() => 4),
    );
    await second.run('huggingface');
    expect(await readFile(path.join(second.out, 'config.json'), 'utf8')).toBe(
      await readFile(path.join(samplePath, 'config.json'), 'utf8'),
    );
    expect(await readdir(second.out)).not.toContain('moe_tuner_loader.py');
  });

  test('keeps the shards and their index', async () => {
    const checkpoint = path.join(await temporaryFolder(), 'sharded');
    await mkdir(checkpoint);
    await copySample(checkpoint);
    const single = path.join(checkpoint, 'model.safetensors');
    const names = Object.keys((await readHeader(single)) as object).filter((name) => name !== '__metadata__');
    const shard = 'model-00001-of-00001.safetensors';
    await writeFile(path.join(checkpoint, shard), await readFile(single));
    await rm(single);
    const index = { metadata: {}, weight_map: Object.fromEntries(names.map((name) => [name, shard])) };
    await writeFile(path.join(checkpoint, 'model.safetensors.index.json'), JSON.stringify(index));
    await writeFile(path.join(checkpoint, 'stray.safetensors'), 'not part of it');
    const { out, run } = await prepare(checkpoint, samplePlan);
    await run('huggingface');
    const written = await readdir(out);
    expect(written).toEqual(expect.arrayContaining([shard, 'model.safetensors.index.json']));
    expect(written).not.toContain('stray.safetensors');
  });
});

async function readHeader(file: string): Promise<unknown> {
  const bytes = await readFile(file);
  return JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString('utf8'));
}

describe('families', () => {
  test.each([
    ['mixtral', [2, 1, 2, 1], ['mlp.gate', 'mlp']],
    ['deepseek_v2', [3, 1, 2], ['mlp.gate']],
    ['gpt_oss', [4, 1, 2, 3], ['mlp.router']],
    ['granitemoe', [4, 1, 2, 3], ['block_sparse_moe.router']],
    ['llama4_text', [1, 2, 1, 2], ['feed_forward.router']],
    ['olmoe', [4, 1, 2, 3], ['mlp']],
  ] as const)(
    'the loader of %s sets the numbers wherever the model has them',
    async (family, activeExperts, routers) => {
      const { out, run } = await prepare(path.join(golden, family), activeExperts);
      await run('huggingface');
      const { layers } = await inspect(out);
      expect(layers.filter(({ moe }) => moe).map(({ active }) => active)).toEqual(activeExperts);
      if (hasPython) {
        await compilePython(path.join(out, 'moe_tuner_loader.py'));
        const byLayer = new Map(layers.filter(({ moe }) => moe).map(({ index }, at) => [index, activeExperts[at]]));
        const expected = layers.map(({ index }) => routers.map(() => byLayer.get(index) ?? 99));
        expect(await runPython('loader.py', [out, routers.join(',')])).toEqual(expected);
      }
    },
  );

  test('the loader fails where a layer has no router it knows', async () => {
    const { out, run } = await prepare(path.join(golden, 'mixtral'), [2, 1, 2, 1]);
    await run('huggingface');
    if (hasPython) {
      await expect(runPython('loader.py', [out, 'elsewhere.gate'])).rejects.toThrow(
        /layer 0 has no router at mlp\.gate/,
      );
    }
  });

  test('Hunyuan V1 gets its own list, for all three runtimes that read it', async () => {
    for (const target of ['huggingface', 'vllm', 'sglang'] as const) {
      const { out, run } = await prepare(await tiny('hunyuan_v1_moe-alpha-rope'), [3, 1, 2, 3]);
      expect((await run(target)).delivery).toBe('list');
      const config = await json(path.join(out, 'config.json'));
      expect(config.moe_topk).toEqual([3, 1, 2, 3]);
      expect(config).not.toHaveProperty('moe_tuner_active_experts');
      expect((await readdir(out)).sort()).toEqual(['README.md', 'config.json', 'model.safetensors', 'moe_tune.json']);
    }
  });

  test('the config inside the config of a multi-modal checkpoint gets the list', async () => {
    const { out, run } = await prepare(await tiny('llama4-nested'), [1, 2, 1]);
    await run('huggingface');
    expect((await json(path.join(out, 'config.json'))).text_config).toMatchObject({
      num_experts_per_tok: 2,
      moe_tuner_active_experts: [1, 2, 1],
    });
    expect((await json(path.join(out, 'moe_tune.json'))).transformers).toMatchObject({
      autoClass: 'AutoModelForImageTextToText',
    });
  });
});

describe('vLLM', () => {
  test.each(['class', 'function', 'renamed'])('the plugin tells the fused layers their numbers (%s)', async (kind) => {
    const { out, run } = await prepare(samplePath, samplePlan);
    const result = await run('vllm');
    expect(result.notes.join(' ')).toContain('pip install ./vllm_plugin');
    const folder = path.join(out, 'vllm_plugin');
    const name = (await readdir(folder)).find((each) => each.startsWith('moe_tuner_vllm_'))!;
    const project = await readFile(path.join(folder, 'pyproject.toml'), 'utf8');
    expect(project).toContain(`[project.entry-points."vllm.general_plugins"]\n${name} = "${name}:register"`);
    if (hasPython) {
      await compilePython(path.join(folder, name, '__init__.py'));
      const prefixes = ['model.layers.1.mlp.experts', 'transformer.blocks.3.ffn', 'model.layers.8.mlp.experts'];
      expect(await runPython('plugin.py', [folder, name, kind, ...prefixes])).toEqual({
        other: [99, 99, 99],
        tuned: [3, 1, 99],
        nameless: "moe-tuner: the name 'experts' of a fused MoE layer does not tell which layer it is",
      });
    }
  });
});

describe('arguments for the unchanged checkpoint', () => {
  test.each([
    ['llama.cpp', 'qwen3_moe', [3, 3, 3], '--override-kv qwen3moe.expert_used_count=int:3\n'],
    ['llama.cpp', 'mixtral', [1, 1, 1, 1], '--override-kv llama.expert_used_count=int:1\n'],
    ['sglang', 'olmoe', [2, 2, 2, 2], `--json-model-override-args '{"num_experts_per_tok":2}'\n`],
  ] as const)('%s of %s', async (target, family, activeExperts, line) => {
    const { out, run } = await prepare(path.join(golden, family), activeExperts);
    const result = await run(target);
    expect((await readdir(out)).sort()).toEqual([`${target}-arguments.txt`, 'moe_tune.json'].sort());
    expect(await readFile(path.join(out, `${target}-arguments.txt`), 'utf8')).toBe(line);
    expect(result.predictedBytes).toBe(result.bytes);
    expect(result.notes.join(' ')).toContain(line.trim());
  });
});

describe('refusals leave nothing', () => {
  test('what the target cannot load', async () => {
    for (const [target, family, k] of [
      ['huggingface', 'phimoe', [2, 1, 2, 1]],
      ['llama.cpp', 'olmoe', [4, 1, 2, 3]],
      ['sglang', 'olmoe', [4, 1, 2, 3]],
    ] as const) {
      const { root, run } = await prepare(path.join(golden, family), k);
      const error = await failureOf(run(target), target);
      expect([error.code, error.kind]).toEqual(['unsupportedFeature', 'input']);
      expect(await readdir(root)).toEqual(['some.moeplan.json']);
    }
  });

  test('a folder, file or dangling link of that name', async () => {
    const { out, run } = await prepare(samplePath, samplePlan);
    await mkdir(out);
    expect((await failureOf(run('huggingface'))).code).toBe('outputExists');
    await rm(out, { recursive: true });
    await symlink('nowhere', out);
    expect((await failureOf(run('huggingface'))).code).toBe('outputExists');
  });

  test('a folder inside the checkpoint, a plan without decisions, a plan for another model', async () => {
    const { plan, out, run } = await prepare(samplePath, samplePlan);
    const inside = {
      checkpoint: samplePath,
      plan,
      target: 'huggingface',
      out: path.join(samplePath, 'tuned'),
    } as const;
    expect((await failureOf(apply(inside, quietJob()))).code).toBe('usage');
    await writeFile(plan, '{ "version": 1 }');
    expect(await failureOf(run('huggingface'))).toMatchObject({
      code: 'malformedPlan',
      details: { place: 'activeExperts' },
    });
    await writeFile(plan, '{ "version": 1, "activeExperts": [4, 4] }');
    expect((await failureOf(run('huggingface'))).code).toBe('malformedPlan');
    await expect(stat(out)).rejects.toThrow(/ENOENT/);
  });
});

describe('interrupted writes leave nothing', () => {
  test('a full disk', async () => {
    const { root, out, run } = await prepare(samplePath, samplePlan);
    for (const fails of ['text', 'weights'] as const) {
      const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      const output: ArtefactOutput = {
        ...diskOutput,
        writeText: (file, text) => (fails === 'text' ? Promise.reject(full) : diskOutput.writeText(file, text)),
        place: () => Promise.reject(full),
      };
      const error = await failureOf(run('huggingface', quietJob(), output));
      expect([error.code, error.details.file]).toEqual(['writeFailed', out]);
      expect(error.details.wayOut).toMatch(/disk is full/);
      expect(await readdir(root)).toEqual(['some.moeplan.json']);
    }
  });

  test('weights that change under way', async () => {
    const { root, run } = await prepare(samplePath, samplePlan);
    const output: ArtefactOutput = {
      ...diskOutput,
      async place(file, place, copied) {
        if (!file.shares) {
          return diskOutput.place(file, place, copied);
        }
        const bytes = await readFile(file.source);
        bytes.fill(0, bytes.length / 2);
        await writeFile(place, bytes);
        return 'copy';
      },
    };
    const error = await failureOf(run('huggingface', quietJob(), output));
    expect(error.code).toBe('writeFailed');
    expect(error.message).toMatch(/weights are not those/);
    expect(await readdir(root)).toEqual(['some.moeplan.json']);
  });

  test('cancelling, before and within a file', async () => {
    const { root, run } = await prepare(samplePath, samplePlan);
    for (const when of [/^Writing model/, /^Copying/]) {
      const abort = new AbortController();
      const job: JobContext = {
        ...quietJob(abort.signal),
        progress: (_, message) => {
          if (when.test(message)) {
            abort.abort();
          }
        },
      };
      const output: ArtefactOutput = {
        ...diskOutput,
        async place(file, place, copied) {
          copied(1);
          copied(2);
          return diskOutput.place(file, place, copied);
        },
      };
      expect((await failureOf(run('huggingface', job, output))).code).toBe('cancelled');
      expect(await readdir(root)).toEqual(['some.moeplan.json']);
    }
  });
});

test('names from outside become neither code nor markup', async () => {
  const hostile = `x"""\nimport os; os.system("echo broken") # <script>\`|`;
  const checkpoint = path.join(await temporaryFolder(), hostile.replaceAll('/', ''));
  await mkdir(checkpoint);
  await copySample(checkpoint);
  for (const target of ['huggingface', 'vllm'] as const) {
    const { out, plan, run } = await prepare(checkpoint, samplePlan);
    const budget = { objective: hostile, solver: hostile, total: 20, predicted: null, seed: 0 };
    await writeFile(plan, JSON.stringify({ version: 1, activeExperts: samplePlan, budget, notes: hostile }));
    await run(target);
    for (const [name] of Object.entries(await contents(out)).filter(([each]) => /\.(py|toml)$/.test(each))) {
      expect(await readFile(path.join(out, name), 'utf8'), name).not.toContain('os.system');
      if (hasPython && name.endsWith('.py')) {
        await compilePython(path.join(out, name));
      }
    }
    const card = await readFile(path.join(out, 'README.md'), 'utf8');
    expect(card).toContain(inlineCode(hostile));
    expect(inlineCode(hostile)).toMatch(/^``x.*``$/);
    expect(card.split('\n').filter((line) => /^\s*import/.test(line))).toEqual([]);
  }
});

test('every target says what it can load, before one is chosen', async () => {
  const { checkpoint, plan } = await prepare(samplePath, samplePlan);
  const { targets } = await listTargets({ checkpoint, plan });
  expect(targets.map(({ name, accepts }) => [name, accepts])).toEqual([
    ['huggingface', true],
    ['vllm', true],
    ['sglang', false],
    ['llama.cpp', false],
    ['onnx', true],
    ['compressed-tensors', false],
  ]);
  expect(targets.every(({ explanation }) => explanation.length > 40)).toBe(true);
});

test('only a GGUF file of rounded weights offers forms for their bits', async () => {
  const { checkpoint, plan } = await prepare(samplePath, Array<number>(8).fill(2));
  const forms = async () =>
    (await listTargets({ checkpoint, plan })).targets.flatMap(({ name, ggufBlocks }) =>
      ggufBlocks === undefined ? [] : [[name, ggufBlocks]],
    );
  expect(await forms()).toEqual([]);
  const decided = JSON.parse(await readFile(plan, 'utf8')) as object;
  const quantize = { method: 'rtn', group: 32, symmetric: true, scope: 'experts', seed: 0, layers: Array(8).fill(4) };
  await writeFile(plan, JSON.stringify({ ...decided, quantize }));
  expect(await forms()).toEqual([['llama.cpp', ['codes', 'k-quants']]]);
});

test('results measured on the original are not shown as those of the tuned copy', async () => {
  const { root, out, run } = await prepare(samplePath, samplePlan);
  const { services } = testServices(root);
  await run('huggingface');
  const params = profileParamsSchema.parse({ checkpoint: samplePath, samples: 16 });
  await profile(params, services, quietJob());
  expect((await history(samplePath, services)).profiles).toHaveLength(1);
  expect((await history(out, services)).profiles).toEqual([]);
  const tuned = await profile({ ...params, checkpoint: out }, services, quietJob());
  expect(tuned.layers.map(({ raw }) => raw.length)).toEqual(samplePlan);
  expect((await history(out, services)).profiles).toHaveLength(1);
});
