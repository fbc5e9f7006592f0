import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { writeSafetensors, type TensorToWrite } from '../../engine/checkpoint/writeSafetensors';
import { diskOutput, type ArtefactOutput } from '../../engine/export/artefactOutput';
import { apply } from '../../engine/jobs/apply';
import { openModel } from '../../engine/jobs/openModel';
import { quietJob } from '../../engine/measure/jobContext';
import type { TargetName } from '../../engine/protocol/apply';
import { samplePath } from '../support/brokenSamples';
import { failureOf } from '../support/failureOf';
import { randomPrunePlan } from '../support/prunePlan';
import { checkArchitecture, readStrictly } from '../support/strictReader';
import { temporaryFolder } from '../support/temporaryFolder';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const golden = path.resolve(import.meta.dirname, '../golden/families');
const weights = 'model.safetensors';

/** Applies a plan and gives back the written folder. */
async function written(
  checkpoint: string,
  content: object,
  options: { target?: TargetName; output?: ArtefactOutput; root?: string } = {},
) {
  const root = options.root ?? (await temporaryFolder());
  const plan = path.join(root, 'some.moeplan.json');
  await writeFile(plan, JSON.stringify(content));
  const out = path.join(root, 'written');
  const { output, target = 'huggingface' } = options;
  const result = await apply({ checkpoint, plan, target, out }, quietJob(), output === undefined ? {} : { output });
  return { root, out, result };
}

/** A copy of a golden checkpoint with another config. */
async function withConfig(family: string, change: (config: Record<string, unknown>) => object): Promise<string> {
  const folder = path.join(await temporaryFolder(), family);
  await mkdir(folder);
  await cp(path.join(golden, family, weights), path.join(folder, weights));
  const config = JSON.parse(await readFile(path.join(golden, family, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  await writeFile(path.join(folder, 'config.json'), JSON.stringify({ ...config, ...change(config) }));
  return folder;
}

const json = async (folder: string, name = 'config.json') =>
  JSON.parse(await readFile(path.join(folder, name), 'utf8')) as Record<string, unknown>;

/** Adds tensors to a checkpoint of one file. */
async function addTensors(folder: string, added: readonly TensorToWrite[]): Promise<void> {
  const { tensors } = readStrictly(folder);
  const kept = [...tensors].map(([name, { dtype, shape, data }]): TensorToWrite => ({
    name,
    dtype: dtype as TensorToWrite['dtype'],
    shape,
    data,
  }));
  await writeSafetensors(path.join(folder, weights), [...kept, ...added], { format: 'pt' });
}

const zeros = (name: string, shape: readonly number[]): TensorToWrite => ({
  name,
  dtype: 'BF16',
  shape,
  data: new Uint8Array(2 * shape.reduce((product, size) => product * size, 1)),
});

describe('the number of experts in the config', () => {
  test('stands under the own key of the family alone', async () => {
    const folder = await withConfig('glm4_moe', ({ n_routed_experts: count }) => ({
      num_experts: count,
      num_local_experts: count,
    }));
    const { out } = await written(folder, await randomPrunePlan(folder, 0.5));
    expect(checkArchitecture(readStrictly(out))).toBe(4);
    expect(await json(out)).toMatchObject({ n_routed_experts: 4 });
  });

  test('keeps an alias that code beside the checkpoint reads', async () => {
    const folder = await withConfig('glm4_moe', ({ n_routed_experts: count }) => ({ num_experts: count }));
    await writeFile(path.join(folder, 'modeling_own.py'), 'experts = config.num_experts\n');
    const { out } = await written(folder, await randomPrunePlan(folder, 0.5));
    expect(await json(out)).toMatchObject({ n_routed_experts: 4, num_experts: 4 });
  });

  test('is changed at both levels of a multi-modal config, and other facts stay as they are written', async () => {
    const folder = path.join(await temporaryFolder(), 'nested');
    const tiny = tinyCheckpoints.find(({ name }) => name === 'llama4-nested')!;
    writeTinyCheckpoint(tiny, folder);
    const before = await json(folder);
    await writeFile(
      path.join(folder, 'config.json'),
      JSON.stringify({ ...before, num_local_experts: 8, num_experts: 77, time_step_limit: 'kept' }),
    );
    const { out } = await written(folder, await randomPrunePlan(folder, 0.5));
    const after = await json(out);
    expect(after.text_config).toMatchObject({ num_local_experts: 4 });
    expect(after).toMatchObject({ num_experts: 77, time_step_limit: 'kept' });
    expect(after).not.toHaveProperty('num_local_experts');
  });

  test('is not guessed where the config names single experts', async () => {
    const folder = await withConfig('olmoe', () => ({
      quantization_config: { modules_to_not_convert: ['model.layers.0.mlp.experts.3.down_proj'] },
    }));
    const error = await failureOf(written(folder, await randomPrunePlan(folder, 0.5)));
    expect([error.code, error.details.place]).toEqual(['unsupportedFeature', 'experts.3']);
  });
});

describe('tensors beside the model', () => {
  test('next-token-prediction layers with experts are left out and counted out', async () => {
    const folder = await withConfig('glm4_moe', () => ({ num_nextn_predict_layers: 1 }));
    await addTensors(folder, [
      zeros('model.layers.4.eh_proj.weight', [64, 128]),
      zeros('model.layers.4.mlp.gate.weight', [8, 64]),
      zeros('model.layers.4.mlp.experts.0.gate_proj.weight', [32, 64]),
    ]);
    const { out, result } = await written(folder, await randomPrunePlan(folder, 0.5));
    expect(result.notes.join(' ')).toMatch(/3 tensors of next-token-prediction layers are left out/);
    const strict = readStrictly(out);
    expect([...strict.tensors.keys()].filter((name) => name.startsWith('model.layers.4.'))).toEqual([]);
    expect(strict.config['num_nextn_predict_layers']).toBe(0);
    checkArchitecture(strict);
  });

  test('companions of numbered experts follow them; an unknown tensor as long as there are experts is refused', async () => {
    const folder = await withConfig('olmoe', () => ({}));
    const scale = (expert: number): TensorToWrite => ({
      name: `model.layers.0.mlp.experts.${expert}.gate_proj.input_scale`,
      dtype: 'F32',
      shape: [1],
      data: new Uint8Array(Float32Array.of(expert).buffer),
    });
    await addTensors(
      folder,
      Array.from({ length: 8 }, (_, expert) => scale(expert)),
    );
    const content = await randomPrunePlan(folder, 0.5);
    const { out } = await written(folder, content);
    const scales = content.prune.keep[0]!.map((_, at) =>
      readStrictly(out).tensors.get(`model.layers.0.mlp.experts.${at}.gate_proj.input_scale`)!.data.readFloatLE(0),
    );
    expect(scales).toEqual(content.prune.keep[0]);

    await addTensors(folder, [zeros('model.layers.0.mlp.expert_tokens', [8])]);
    const error = await failureOf(written(folder, content));
    expect([error.code, error.details.place]).toEqual(['unsupportedFeature', 'model.layers.0.mlp.expert_tokens']);
  });
});

describe('merged and rounded weights', () => {
  const pairs = (layers: number) => Array.from({ length: layers }, () => [[0, 1], [2, 5], [3], [4, 6, 7]]);

  test.each([
    ['olmoe', 4],
    ['granitemoe', 4],
    ['gpt_oss', 4],
  ] as const)('merged %s has one expert for each group', async (family, layers) => {
    const merge = { method: 'm-smoe', groups: pairs(layers), seed: 0 };
    const { out, result } = await written(path.join(golden, family), { version: 1, merge });
    expect(checkArchitecture(readStrictly(out))).toBe(4);
    expect(result.notes.join(' ')).toMatch(/rows cannot share an expert/);
    expect((await json(out)).moe_tuner_weights).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ['mean', 4],
    ['all', 8],
  ] as const)('router rows: %s', async (router, experts) => {
    const merge = { method: 'm-smoe', groups: pairs(4), options: { router }, seed: 0 };
    const { out } = await written(path.join(golden, 'mixtral'), { version: 1, merge });
    expect(checkArchitecture(readStrictly(out))).toBe(experts);
  });

  test.each(['olmoe', 'gpt_oss', 'llama4_text', 'granitemoe'])(
    'rounded %s keeps names, shapes and types',
    async (family) => {
      const checkpoint = path.join(golden, family);
      const quantize = { method: 'rtn', group: 32, symmetric: false, scope: 'experts', layers: [4, 4, 8, 16], seed: 0 };
      const { out } = await written(checkpoint, { version: 1, quantize });
      const [before, after] = [readStrictly(checkpoint, ['golden.safetensors']), readStrictly(out)];
      expect(checkArchitecture(after)).toBe(8);
      let changed = 0;
      for (const [name, { dtype, shape, data }] of before.tensors) {
        const now = after.tensors.get(name)!;
        expect([now.dtype, now.shape], name).toEqual([dtype, shape]);
        const same = Buffer.compare(now.data, data) === 0;
        changed += same ? 0 : 1;
        expect(same || /layers\.[012]\..*experts|layers\.[012]\..*(in|out)put_linear/.test(name), name).toBe(true);
      }
      expect(changed).toBeGreaterThan(0);
      // The routers are the same, yet results of the original must not be taken for those of the copy.
      expect((await openModel(out)).resultsKey).not.toBe((await openModel(checkpoint)).resultsKey);
    },
  );

  test('FP8 weights are rounded to FP8 again, or scaled without being rounded', async () => {
    const folder = path.join(await temporaryFolder(), 'fp8');
    writeTinyCheckpoint(
      tinyCheckpoints.find(({ name }) => name === 'deepseek_v3-fp8')!,
      folder,
    );
    const content = await randomPrunePlan(folder, 1);
    const scale = content.prune.keep.map(() => 0.5);
    const { out } = await written(folder, { version: 1, gates: { scale, seed: 0 } });
    const [before, after] = [readStrictly(folder), readStrictly(out)];
    const name = 'model.layers.1.mlp.experts.2.down_proj.weight';
    expect(after.tensors.get(name)!.data).toEqual(before.tensors.get(name)!.data);
    const scaleOf = (tensors: typeof before) => tensors.tensors.get(`${name}_scale_inv`)!.data.readFloatLE(0);
    expect(scaleOf(after)).toBe(scaleOf(before) / 2);
    const quantize = {
      method: 'rtn',
      group: 32,
      symmetric: true,
      scope: 'experts',
      layers: content.prune.keep.map(() => 8),
      seed: 0,
    };
    const rounded = await written(folder, { version: 1, quantize });
    expect(readStrictly(rounded.out).tensors.get(name)!.dtype).toBe('F8_E4M3');
  });

  test('gates that refer to more experts than are active cannot be written', async () => {
    const gates = { reference: [4, 4, 4, 4], seed: 0 };
    const error = await failureOf(
      written(path.join(golden, 'mixtral'), { version: 1, activeExperts: [1, 1, 1, 1], gates }),
    );
    expect([error.code, error.details.place]).toEqual(['unsupportedFeature', 'gates.reference']);
  });
});

describe('targets', () => {
  test('layers with different numbers of experts are refused with the way out', async () => {
    const keep = [
      [0, 1, 2, 3],
      [0, 1, 2],
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ];
    const content = { version: 1, prune: { method: 'random', keep, seed: 0 } };
    for (const target of ['huggingface', 'vllm', 'sglang', 'llama.cpp'] as const) {
      const error = await failureOf(written(path.join(golden, 'mixtral'), content, { target }));
      expect([error.code, error.kind]).toEqual(['unsupportedFeature', 'input']);
      expect(error.details.wayOut).toMatch(/same number in every layer \(this one keeps 3 to 4\)/);
    }
  });

  test.each(['vllm', 'sglang'] as const)('%s gets a checkpoint, not arguments', async (target) => {
    const checkpoint = path.join(golden, 'mixtral');
    const { out } = await written(checkpoint, await randomPrunePlan(checkpoint, 0.5), { target });
    expect(checkArchitecture(readStrictly(out))).toBe(4);
  });

  test('a plan whose layers are not those of the checkpoint is refused', async () => {
    const content = { version: 1, prune: { method: 'random', keep: [[0, 1]], seed: 0 } };
    expect(await failureOf(written(path.join(golden, 'mixtral'), content))).toMatchObject({
      code: 'malformedPlan',
      details: { place: 'prune.keep' },
    });
  });
});

describe('what was written is looked at before it gets its name', () => {
  const olmoe = path.join(golden, 'olmoe');

  /** Writes as the disk does, then changes the weights. */
  const spoiling = (change: (bytes: Buffer, header: number) => void): ArtefactOutput => ({
    ...diskOutput,
    async stream(content, file, progress) {
      const flush = await diskOutput.stream(content, file, progress);
      const bytes = await readFile(file);
      change(bytes, 8 + Number(bytes.readBigUInt64LE(0)));
      await writeFile(file, bytes);
      return flush;
    },
  });

  test.each([
    ['bytes of a copied tensor', (bytes: Buffer, header: number) => bytes.fill(0, header)],
    [
      'two exchanged names',
      (bytes: Buffer, header: number) => {
        const text = bytes.subarray(0, header).toString('latin1');
        const exchanged = text.replaceAll('experts.0.', 'experts.?.').replaceAll('experts.1.', 'experts.0.');
        bytes.write(exchanged.replaceAll('experts.?.', 'experts.1.'), 'latin1');
      },
    ],
  ])('%s', async (_, change) => {
    const root = await temporaryFolder();
    const error = await failureOf(
      written(olmoe, await randomPrunePlan(olmoe, 0.5), { root, output: spoiling(change) }),
    );
    expect([error.code, /not accepted/.test(error.message)]).toEqual(['writeFailed', true]);
    expect(await readdir(root)).toEqual(['some.moeplan.json']);
  });

  test('computed weights that are not those of the plan', async () => {
    const root = await temporaryFolder();
    const content = await randomPrunePlan(olmoe, 0.5);
    const correction = content.prune.keep.map(() => 0.5);
    const output: ArtefactOutput = {
      ...diskOutput,
      async stream(content, file, progress) {
        const flush = await diskOutput.stream(content, file, progress);
        const down = [...readStrictly(path.dirname(file)).tensors].find(([name]) =>
          /experts\.0\.down_proj/.test(name),
        )!;
        const bytes = await readFile(file);
        const at = bytes.indexOf(down[1].data);
        bytes.copyWithin(at, at + 64, at + down[1].data.length);
        await writeFile(file, bytes);
        return flush;
      },
    };
    const plan = { ...content, prune: { ...content.prune, correction } };
    const error = await failureOf(written(olmoe, plan, { root, output }));
    expect(error.message).toMatch(/layer \d computes something else than the plan/);
    expect(await readdir(root)).toEqual(['some.moeplan.json']);
  });

  test('a disk that is full before the end', async () => {
    const root = await temporaryFolder();
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    const output: ArtefactOutput = {
      ...diskOutput,
      stream: (content, file, progress) =>
        diskOutput.stream(
          {
            ...content,
            stream: (handle, each) => {
              let calls = 0;
              const failing = new Proxy(handle, {
                get: (target, key) =>
                  key === 'write' && ++calls > 0
                    ? () => Promise.reject(full)
                    : (Reflect.get(target, key, target) as unknown),
              });
              return content.stream(failing, each);
            },
          },
          file,
          progress,
        ),
    };
    const error = await failureOf(written(olmoe, await randomPrunePlan(olmoe, 0.5), { root, output }));
    expect([error.code, /disk is full/.test(error.details.wayOut!)]).toEqual(['writeFailed', true]);
    expect(await readdir(root)).toEqual(['some.moeplan.json']);
  });
});

test('what a killed run left behind goes when the same name is written again, what a living one writes stays', async () => {
  const root = await temporaryFolder();
  const bundle = path.join(root, 'hanging.cjs');
  const entry = path.resolve(import.meta.dirname, '../support/hangingExport.ts');
  await build({ entryPoints: [entry], bundle: true, platform: 'node', outfile: bundle, logLevel: 'error' });
  const source = path.join(golden, 'olmoe', weights);
  const hash = async () =>
    createHash('sha256')
      .update(await readFile(source))
      .digest('hex');
  const before = await hash();
  const out = path.join(root, 'written');
  const child = spawn(process.execPath, [bundle, out, source, String((await readFile(source)).length)]);
  const partial = async () => (await readdir(root)).filter((name) => name.endsWith('.partial'));
  try {
    await once(child.stdout, 'data');
    const checkpoint = path.join(golden, 'olmoe');
    const content = await randomPrunePlan(checkpoint, 0.5);
    await written(checkpoint, content, { root });
    expect(await partial()).toHaveLength(1);
    await rm(out, { recursive: true });
    const dead = once(child, 'exit');
    child.kill('SIGKILL');
    await dead;
    await written(checkpoint, content, { root });
    expect(await partial()).toEqual([]);
    expect(checkArchitecture(readStrictly(out))).toBe(4);
    expect(await hash()).toBe(before);
  } finally {
    child.kill('SIGKILL');
  }
});

test('the same plan and checkpoint give the same bytes', async () => {
  const content = await randomPrunePlan(samplePath, 0.5);
  const [first, second] = [await written(samplePath, content), await written(samplePath, content)];
  for (const { name } of first.result.files) {
    const bytes = [first, second].map(({ out }) => readFile(path.join(out, name)));
    expect(Buffer.compare(await bytes[0]!, await bytes[1]!), name).toBe(0);
  }
  const tune = await json(first.out, 'moe_tune.json');
  expect(tune.changes).toMatchObject({ computed: false, writtenFingerprint: (await openModel(first.out)).fingerprint });
});
