import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { outsideFamilies } from '../../engine/families/outsideFamilies';
import { tunedConfigText } from '../../engine/export/tunedConfig';
import { families } from '../../engine/families/registry';
import { inspect } from '../../engine/jobs/inspect';
import { TunerError } from '../../engine/protocol/errors';
import { openResolved } from '../support/engineRun';
import { temporaryFolder } from '../support/temporaryFolder';
import type { TinyTensor } from '../support/tinyCheckpoints/randomTensors';
import { experts, router, tiny, type TinyCheckpoint } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const layers = 2;
const config = {
  model_type: 'qwen3_moe',
  vocab_size: 16,
  hidden_size: tiny.hidden,
  num_hidden_layers: layers,
  num_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  moe_intermediate_size: tiny.expert,
};

function block(layer: number): TinyTensor[] {
  return [router(`model.layers.${layer}.mlp.gate`), ...experts(`model.layers.${layer}.mlp.experts`)];
}

const tensors = [...block(0), ...block(1)];

async function open(changes: Record<string, unknown>, extra: readonly TinyTensor[] = [], own = tensors) {
  const checkpoint: TinyCheckpoint = {
    name: 'recognise',
    config: { ...config, ...changes },
    tensors: [...own, ...extra],
    seed: 1,
  };
  return openResolved(writeTinyCheckpoint(checkpoint, await temporaryFolder()));
}

async function refusal(opening: Promise<unknown>): Promise<TunerError> {
  const error: unknown = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TunerError);
  return error as TunerError;
}

describe('what a config may look like', () => {
  test.each([
    ['the key of Transformers 5', { num_experts: undefined, num_local_experts: tiny.experts }, 'num_local_experts'],
    ['both keys, agreeing', { num_local_experts: tiny.experts }, 'num_experts'],
    ['the key of DeepSeek', { num_experts: undefined, n_routed_experts: tiny.experts }, 'n_routed_experts'],
  ])('%s', async (_, changes, key) => {
    const model = await open(changes);
    expect(model.experts).toBe(tiny.experts);
    expect(model.configKeys.experts).toBe(key);
  });

  test('architectures alone', async () => {
    const model = await open({ model_type: undefined, architectures: ['Qwen3MoeForCausalLM'] });
    expect(model.recognised.record.name).toBe('qwen3_moe');
  });

  test('a text config inside a wrapper of unknown type', async () => {
    const nested = Object.fromEntries(Object.keys(config).map((key) => [key, undefined]));
    const model = await open({ ...nested, model_type: 'some_wrapper', text_config: config });
    expect(model.recognised.record.name).toBe('qwen3_moe');
    expect(model.configKeys.activeExperts).toBe('text_config.num_experts_per_tok');
  });

  test('aliases that disagree', async () => {
    const error = await refusal(open({ num_local_experts: 4 }));
    expect(error.code).toBe('contradictoryConfig');
  });

  test('one k per layer, as Hunyuan states it', async () => {
    const hunyuan = tinyCheckpoints.find(({ name }) => name.startsWith('hunyuan_v1_moe'))!;
    const folder = await temporaryFolder();
    const listed = { num_experts: [8, 8, 8, 8], moe_topk: [1, 2, 3, 2], num_shared_expert: [1, 1, 1, 1] };
    const model = await openResolved(
      writeTinyCheckpoint({ ...hunyuan, config: { ...hunyuan.config, ...listed } }, folder),
    );
    expect(model.blocks.map(({ activeExperts }) => activeExperts)).toEqual([1, 2, 3, 2]);
    const short = { ...hunyuan, config: { ...hunyuan.config, moe_topk: [1, 2] } };
    const error = await refusal(openResolved(writeTinyCheckpoint(short, await temporaryFolder())));
    expect(error.code).toBe('malformedConfig');
  });
});

describe('configs as they were released', () => {
  test('Ling 2.0 states the model type of the first generation', async () => {
    const two = ['BailingMoeV2ForCausalLM'];
    const bias = [0, 1].map((layer): TinyTensor => ({
      name: `model.layers.${layer}.mlp.gate.expert_bias`,
      shape: [tiny.experts],
      role: 'choiceBias',
    }));
    const grouped = { n_group: 2, topk_group: 1, routed_scaling_factor: 2.5, norm_topk_prob: true };
    const second = await open({ model_type: 'bailing_moe', architectures: two, ...grouped }, bias);
    expect(second.recognised.record.name).toBe('bailing_moe_v2');
    expect(second.blocks[0]!.router).toMatchObject({ score: 'sigmoid', groups: { count: 2, kept: 1 }, scale: 2.5 });
    const first = await open({ model_type: 'bailing_moe', architectures: ['BailingMoeForCausalLM'] });
    expect(first.blocks[0]!.router).toMatchObject({ score: 'softmax', gates: { kind: 'sum' } });
  });

  test('the first Llama 4 has a number for a flag', async () => {
    const llama = tinyCheckpoints.find(({ name }) => name === 'llama4-nested')!;
    const text = llama.config['text_config'] as Record<string, unknown>;
    const temperatures = async (tuning: unknown) => {
      const changed = { ...llama.config, text_config: { ...text, attn_temperature_tuning: tuning } };
      const model = await openResolved(writeTinyCheckpoint({ ...llama, config: changed }, await temporaryFolder()));
      return model.decoder().layers.map(({ mixer }) => mixer.kind === 'grouped-query' && mixer.temperature);
    };
    const [number, yes, zero] = [await temperatures(4), await temperatures(true), await temperatures(0)];
    expect(number).toEqual(yes);
    expect(number.some((value) => typeof value === 'object')).toBe(true);
    expect(zero.every((value) => value === undefined)).toBe(true);
  });

  test('DeepSeek-VL2 has its language model below a word of its own', async () => {
    const nested = tensors.map((tensor) => ({ ...tensor, name: `language.${tensor.name}` }));
    const model = await open({ model_type: 'deepseek_vl_v2', language_config: config }, [], nested);
    expect(model.recognised.root).toEqual({ root: 'language.model.', head: 'language.lm_head' });
  });

  test('a config without active experts says which number holds, and the plan is written into it', async () => {
    const model = await open({
      num_experts_per_tok: undefined,
      num_experts: undefined,
      num_local_experts: tiny.experts,
    });
    expect(model.blocks.map(({ activeExperts }) => activeExperts)).toEqual([8, 8]);
    expect(model.warnings.join(' ')).toContain('lacks num_experts_per_tok: 8');
    const tuned = { delivery: 'scalar', activeExperts: [3, 3], moeLayers: [0, 1], layerCount: 2 } as const;
    expect(JSON.parse(tunedConfigText('{ "a": 1 }', model.recognised, tuned))).toEqual({
      a: 1,
      num_experts_per_tok: 3,
    });
    expect((await open({})).warnings).toEqual([]);
  });

  test('parameters of prediction layers are not active', async () => {
    const write = async (extra: readonly TinyTensor[]) => {
      const checkpoint = { name: 'prediction', config, tensors: [...tensors, ...extra], seed: 1 };
      return inspect(writeTinyCheckpoint(checkpoint, await temporaryFolder()));
    };
    const [without, layer, modules] = [
      await write([]),
      await write(block(layers)),
      await write([{ name: 'mtp.fc.weight', shape: [4, 4], role: 'weight' }]),
    ];
    expect([layer.activeParameters, modules.activeParameters]).toEqual([
      without.activeParameters,
      without.activeParameters,
    ]);
    expect([layer.parameters, modules.parameters]).not.toContain(without.parameters);
  });
});

describe('what takes no part', () => {
  test.each([
    ['layers past the configured ones', block(layers)],
    ['mtp modules', [{ name: 'mtp.fc.weight', shape: [4, 4], role: 'weight' as const }]],
  ])('%s bring a warning', async (_, extra) => {
    const model = await open({}, extra);
    expect(model.warnings.join(' ')).toContain('prediction');
    expect(model.blocks).toHaveLength(layers);
  });
});

describe('what is refused by name', () => {
  test.each(outsideFamilies.map((family) => [family.title, family] as const))('%s', async (_, family) => {
    for (const modelType of family.modelTypes) {
      const error = await refusal(open({ model_type: modelType }));
      expect(error.code).toBe('unsupportedFeature');
      expect(error.message).toContain(family.title);
      expect(error.message).toContain(family.reason);
    }
    for (const architecture of family.architectures) {
      const error = await refusal(open({ model_type: undefined, architectures: [architecture] }));
      expect(error.message).toContain(family.title);
    }
  });

  test.each([
    ['.qweight', 'GPTQ or AWQ'],
    ['.weight_packed', 'compressed-tensors'],
    ['.weight_scale_2', 'NVFP4'],
    ['.SCB', '8-bit weights of bitsandbytes'],
    ['.weight.absmax', '4-bit weights of bitsandbytes'],
    ['.W_q', 'HQQ'],
    ['.weight_scale', 'per channel'],
    ['.scales', 'MLX'],
  ])('weights packed as %s', async (suffix, title) => {
    const name = `model.layers.0.mlp.experts.0.up_proj${suffix}`;
    const error = await refusal(open({}, [{ name, shape: [4, 4], role: 'weight' }]));
    expect(error.code).toBe('unsupportedDtype');
    expect(error.message).toContain(title);
    expect(error.details.place).toBe(name);
  });

  test('integers without a scale', async () => {
    const own = tensors.filter(({ name }) => !name.includes('experts.2.up_proj'));
    const folder = writeTinyCheckpoint({ name: 'integers', config, tensors: own, seed: 1 }, await temporaryFolder());
    const name = 'model.layers.1.mlp.experts.2.up_proj.weight';
    appendHeaders(
      path.join(folder, 'model.safetensors'),
      [0, 1].map((layer) => ({
        name: `model.layers.${layer}.mlp.experts.2.up_proj.weight`,
        dtype: layer === 0 ? 'BF16' : 'I8',
        shape: [tiny.expert, tiny.hidden],
        bytes: layer === 0 ? 2 : 1,
      })),
    );
    const error = await refusal(openResolved(folder));
    expect([error.code, error.details.place]).toEqual(['unsupportedDtype', name]);
    expect(error.message).toContain('I8');
  });

  test('a variant that one value of a key tells', async () => {
    const error = await refusal(open({ model_type: 'deepseek_v2', topk_method: 'noaux_tc' }));
    expect([error.code, error.details.place]).toEqual(['unsupportedFeature', 'topk_method']);
    expect(error.message).toContain('DeepSeek-V3');
  });

  test('variants that a record does not describe', async () => {
    const error = await refusal(open({ model_type: 'nemotron_h', moe_latent_size: 32 }));
    expect(error.code).toBe('unsupportedFeature');
    expect(error.details.place).toBe('moe_latent_size');
  });

  test('a dense sibling of a family', async () => {
    const error = await refusal(open({ model_type: 'minicpm', num_experts: 0 }));
    expect(error.code).toBe('notMixtureOfExperts');
  });
});

describe('numbers that cannot be', () => {
  const mixtral = tinyCheckpoints.find(({ name }) => name === 'mixtral')!;

  test.each([
    [
      'more layers than any memory counts',
      { num_hidden_layers: 2 ** 32 - 1 },
      'contradictoryConfig',
      'num_hidden_layers',
    ],
    [
      'heads that do not divide the hidden size',
      { num_attention_heads: 3 },
      'contradictoryConfig',
      'num_attention_heads',
    ],
    ['heads that cannot share keys', { num_key_value_heads: 3 }, 'contradictoryConfig', 'num_attention_heads'],
    ['a negative epsilon', { rms_norm_eps: -1e-5 }, 'malformedConfig', 'rms_norm_eps'],
    ['rotary frequencies of no base', { rope_theta: 0 }, 'malformedConfig', 'rope_theta'],
  ])('%s', async (_, change, code, place) => {
    const without = { ...mixtral.config, head_dim: undefined, rope_parameters: undefined };
    const changed = { ...mixtral, config: { ...without, ...change } };
    const opening = temporaryFolder().then((folder) => openResolved(writeTinyCheckpoint(changed, folder)));
    const error = await refusal(opening.then((model) => model.decoder()));
    expect([error.code, error.details.place]).toEqual([code, place]);
    expect(error.details.wayOut).not.toBe('');
  });
});

describe('what is not known', () => {
  test('an unknown mixture names the missing facts and the tensors it has', async () => {
    const error = await refusal(open({ model_type: 'brand_new_moe', num_experts_per_tok: undefined }));
    expect(error.code).toBe('unknownFamily');
    expect(error.message).toContain('brand_new_moe');
    expect(error.message).toContain('active experts per token');
    expect(error.message).toContain('routing rule');
    expect(error.message).not.toContain('number of experts');
    expect(error.details.wayOut).toContain(`model.layers.{n}.mlp.gate.weight [${tiny.experts}, ${tiny.hidden}]`);
    expect(error.details.wayOut).toContain('model.layers.{n}.mlp.experts.{n}.up_proj.weight');
    expect(error.details.wayOut).toContain('docs/add-a-family.md');
  });

  test('a dense model is no mixture', async () => {
    const dense = [{ name: 'model.layers.0.mlp.up_proj.weight', shape: [4, 4], role: 'weight' as const }];
    const error = await refusal(open({ model_type: 'llama', num_experts: undefined }, [], dense));
    expect(error.code).toBe('notMixtureOfExperts');
  });
});

describe('the table', () => {
  test('no name, model type or architecture twice, nor both supported and refused', () => {
    const names = families.map(({ name }) => name);
    const types = [...families, ...outsideFamilies].flatMap(({ modelTypes }) => modelTypes);
    const architectures = [...families, ...outsideFamilies].flatMap((family) => family.architectures);
    for (const list of [names, types, architectures]) {
      expect(list.filter((item, at) => list.indexOf(item) !== at)).toEqual([]);
    }
  });

  test('norms before the blocks are known, with the offset of zero-centred ones', async () => {
    const norm = (layer: number): TinyTensor => ({
      name: `model.layers.${layer}.post_attention_layernorm.weight`,
      shape: [tiny.hidden],
      role: 'norm',
    });
    const model = await open({ model_type: 'qwen3_next' }, [norm(0), norm(1)]);
    expect(model.blockNorm(1)).toMatchObject({ kind: 'rms', offset: 1 });
    expect((await open({}, [norm(0), norm(1)])).blockNorm(0)).toMatchObject({ kind: 'rms', offset: 0 });
  });

  test('stacked FP8 experts keep their block scales', async () => {
    const folder = await temporaryFolder();
    const checkpoint: TinyCheckpoint = {
      name: 'fp8',
      seed: 1,
      config: { ...config, num_hidden_layers: 1, quantization_config: { weight_block_size: [32, 32] } },
      tensors: [router('model.layers.0.mlp.gate')],
    };
    writeTinyCheckpoint(checkpoint, folder);
    const stem = 'model.layers.0.mlp.experts.';
    const { experts: count, expert: width, hidden } = tiny;
    appendHeaders(path.join(folder, 'model.safetensors'), [
      { name: `${stem}gate_up_proj`, dtype: 'F8_E4M3', shape: [count, 2 * width, hidden], bytes: 1 },
      { name: `${stem}gate_up_proj_scale_inv`, dtype: 'F32', shape: [count, (2 * width) / 32, hidden / 32], bytes: 4 },
      { name: `${stem}down_proj`, dtype: 'F8_E4M3', shape: [count, hidden, width], bytes: 1 },
      { name: `${stem}down_proj_scale_inv`, dtype: 'F32', shape: [count, hidden / 32, width / 32], bytes: 4 },
    ]);
    const [expert] = (await openResolved(folder)).blocks[0]!.experts.slice(3);
    expect(expert).toMatchObject({
      layout: 'fused-gated',
      gateUp: { weight: { storage: 'fp8-block', scale: { shape: [2, 2] }, block: [32, 32] } },
    });
  });
});

/** Adds tensors of zeros to a safetensors file. */
function appendHeaders(
  file: string,
  added: readonly { name: string; dtype: string; shape: readonly number[]; bytes: number }[],
): void {
  const old = readFileSync(file);
  const length = Number(old.readBigUInt64LE(0));
  const header = JSON.parse(old.subarray(8, 8 + length).toString('utf8')) as Record<string, unknown>;
  const data = old.subarray(8 + length);
  let end = data.length;
  for (const { name, dtype, shape, bytes } of added) {
    const size = shape.reduce((product, axis) => product * axis, bytes);
    header[name] = { dtype, shape, data_offsets: [end, end + size] };
    end += size;
  }
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(file, Buffer.concat([prefix, text, data, Buffer.alloc(end - data.length)]));
}
