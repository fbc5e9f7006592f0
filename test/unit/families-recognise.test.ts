import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { outsideFamilies } from '../../engine/families/outsideFamilies';
import { families } from '../../engine/families/registry';
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
  ])('weights packed as %s', async (suffix, title) => {
    const name = `model.layers.0.mlp.experts.0.up_proj${suffix}`;
    const error = await refusal(open({}, [{ name, shape: [4, 4], role: 'weight' }]));
    expect(error.code).toBe('unsupportedDtype');
    expect(error.message).toContain(title);
    expect(error.details.place).toBe(name);
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
