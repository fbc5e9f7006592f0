import { createHash } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { tokenizerMetadata } from '../../engine/export/gguf/tokenizerMetadata';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import { failureOf } from '../support/failureOf';
import { decodeGguf, readGguf, type GgufFile } from '../support/ggufReader';
import { goldenFamiliesFolder } from '../support/reference/golden';
import { readCheckpointTensors, type Tensor } from '../support/reference/readTensors';
import { rounded } from '../support/roundingOracle';
import { sharedPath } from '../support/sharedMaterial';
import { temporaryFolder } from '../support/temporaryFolder';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';
import verified from './gguf/verified.json';

/** Applies a plan to a checkpoint for llama.cpp. */
async function applied(checkpoint: string, plan: object) {
  const root = await temporaryFolder();
  const file = path.join(root, 'some.moeplan.json');
  await writeFile(file, JSON.stringify({ version: 1, ...plan }));
  const out = path.join(root, 'written');
  const run = () => apply({ checkpoint, plan: file, target: 'llama.cpp', out }, quietJob());
  return { root, out, run };
}

async function written(checkpoint: string, plan: object) {
  const { out, run } = await applied(checkpoint, plan);
  const result = await run();
  const sizes = await Promise.all((await readdir(out)).map(async (name) => (await stat(path.join(out, name))).size));
  expect(result.bytes).toBe(result.predictedBytes);
  expect(result.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
  const file = path.join(out, 'model.gguf');
  return { file, gguf: readGguf(file), notes: result.notes.join('\n') };
}

const quantize = (layers: readonly unknown[], more: object = {}) => ({
  quantize: { method: 'rtn', group: 32, symmetric: true, scope: 'experts', layers, seed: 0, ...more },
});

/** Names in checkpoints by names in GGUF files; `{e}` stands for the number of an expert. */
interface Names {
  readonly [tensor: string]: string;
}

const common: Names = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
  'attn_norm.weight': 'input_layernorm.weight',
  'attn_q.weight': 'self_attn.q_proj.weight',
  'attn_k.weight': 'self_attn.k_proj.weight',
  'attn_v.weight': 'self_attn.v_proj.weight',
  'attn_output.weight': 'self_attn.o_proj.weight',
  'ffn_norm.weight': 'post_attention_layernorm.weight',
};

const networkNames = (suffix: string, prefix: string): Names =>
  Object.fromEntries(
    ['gate', 'up', 'down'].map((projection) => [
      `ffn_${projection}${suffix}.weight`,
      `${prefix}.${projection}_proj.weight`,
    ]),
  );

const separate: Names = {
  'ffn_gate_inp.weight': 'mlp.gate.weight',
  ...networkNames('_exps', 'mlp.experts.{e}'),
  ...networkNames('_shexp', 'mlp.shared_experts'),
  ...networkNames('', 'mlp'),
};

/** What each family adds to the common names. */
const families: Readonly<Record<string, Names>> = {
  olmoe: {
    ...separate,
    'attn_q_norm.weight': 'self_attn.q_norm.weight',
    'attn_k_norm.weight': 'self_attn.k_norm.weight',
  },
  qwen2_moe: {
    ...separate,
    ...networkNames('_shexp', 'mlp.shared_expert'),
    'ffn_gate_inp_shexp.weight': 'mlp.shared_expert_gate.weight',
    'attn_q.bias': 'self_attn.q_proj.bias',
    'attn_k.bias': 'self_attn.k_proj.bias',
    'attn_v.bias': 'self_attn.v_proj.bias',
  },
  mixtral: {
    'ffn_gate_inp.weight': 'block_sparse_moe.gate.weight',
    'ffn_gate_exps.weight': 'block_sparse_moe.experts.{e}.w1.weight',
    'ffn_up_exps.weight': 'block_sparse_moe.experts.{e}.w3.weight',
    'ffn_down_exps.weight': 'block_sparse_moe.experts.{e}.w2.weight',
  },
  granitemoe: {
    'ffn_gate_inp.weight': 'block_sparse_moe.router.layer.weight',
    'ffn_gate_exps.weight': 'block_sparse_moe.input_linear.weight',
    'ffn_up_exps.weight': 'block_sparse_moe.input_linear.weight',
    'ffn_down_exps.weight': 'block_sparse_moe.output_linear.weight',
  },
  glm4_moe: {
    ...separate,
    'post_attention_norm.weight': 'post_attention_layernorm.weight',
    'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias',
    'attn_q.bias': 'self_attn.q_proj.bias',
    'attn_k.bias': 'self_attn.k_proj.bias',
    'attn_v.bias': 'self_attn.v_proj.bias',
  },
  deepseek_v2: { ...separate, ...latentNames() },
  deepseek_v3: {
    ...separate,
    ...latentNames(),
    'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias',
  },
  gpt_oss: {
    'post_attention_norm.weight': 'post_attention_layernorm.weight',
    'attn_q.bias': 'self_attn.q_proj.bias',
    'attn_k.bias': 'self_attn.k_proj.bias',
    'attn_v.bias': 'self_attn.v_proj.bias',
    'attn_output.bias': 'self_attn.o_proj.bias',
    'attn_sinks.weight': 'self_attn.sinks',
    'ffn_gate_inp.weight': 'mlp.router.weight',
    'ffn_gate_inp.bias': 'mlp.router.bias',
    'ffn_gate_exps.weight': 'mlp.experts.gate_up_proj',
    'ffn_gate_exps.bias': 'mlp.experts.gate_up_proj_bias',
    'ffn_up_exps.weight': 'mlp.experts.gate_up_proj',
    'ffn_up_exps.bias': 'mlp.experts.gate_up_proj_bias',
    'ffn_down_exps.weight': 'mlp.experts.down_proj',
    'ffn_down_exps.bias': 'mlp.experts.down_proj_bias',
  },
};

function latentNames(): Names {
  return {
    'attn_q_a.weight': 'self_attn.q_a_proj.weight',
    'attn_q_a_norm.weight': 'self_attn.q_a_layernorm.weight',
    'attn_q_b.weight': 'self_attn.q_b_proj.weight',
    'attn_kv_a_mqa.weight': 'self_attn.kv_a_proj_with_mqa.weight',
    'attn_kv_a_norm.weight': 'self_attn.kv_a_layernorm.weight',
    'attn_k_b.weight': 'self_attn.kv_b_proj.weight',
    'attn_v_b.weight': 'self_attn.kv_b_proj.weight',
  };
}

/** Sizes that all golden checkpoints share. */
const headSize = 16;
const latent = { heads: 4, nope: 16, value: 16 };
/** Families whose rotary embedding turns values (2i, 2i + 1) in llama.cpp and (i, i + half) in checkpoints. */
const permuted = ['mixtral', 'granitemoe'];

/** A matrix as rows. */
function rowsOf({ shape, data }: Tensor, width = shape[shape.length - 1]!): Float64Array[] {
  return Array.from({ length: data.length / width }, (_, row) => data.subarray(row * width, (row + 1) * width));
}

function transposed(rows: readonly Float64Array[]): Float64Array[] {
  return Array.from(rows[0]!, (_, column) => Float64Array.from(rows, (row) => row[column]!));
}

/** The weights that a tensor should hold, worked out from the checkpoint alone, in the order of the file. */
function expected(family: string, name: string, stored: ReadonlyMap<string, Tensor>): Float64Array[] {
  const [, layer, part] = /^(?:blk\.(\d+)\.)?(.+)$/.exec(name)!;
  const template = { ...common, ...families[family] }[part!]!;
  const full = layer === undefined ? template : `model.layers.${layer}.${template}`;
  const get = (expert?: number) => {
    const found = stored.get(full.replace('{e}', String(expert)));
    if (found === undefined) throw new Error(`${family} has no ${full}`);
    return found;
  };
  if (full.includes('{e}')) {
    const count = [...stored.keys()].filter((key) => new RegExp(`^${full.replace('{e}', '\\d+')}$`).test(key)).length;
    return Array.from({ length: count }, (_, expert) => rowsOf(get(expert))).flat();
  }
  const tensor = get();
  const projection = /^ffn_(gate|up|down)_exps/.exec(part!)?.[1];
  if (family === 'granitemoe' && projection !== undefined) {
    const perExpert = tensor.shape[1]!;
    const rows = rowsOf(tensor);
    const half = projection === 'down' ? perExpert : perExpert / 2;
    const first = projection === 'up' ? half : 0;
    return rows.filter((_, row) => row % perExpert >= first && row % perExpert < first + half);
  }
  if (family === 'gpt_oss' && projection !== undefined) {
    const bias = part!.endsWith('bias');
    const experts = tensor.shape[0]!;
    const size = bias ? tensor.shape[1]! : tensor.shape[1]! * tensor.shape[2]!;
    return Array.from({ length: experts }, (_, expert) => {
      const matrix = { shape: tensor.shape, data: tensor.data.subarray(expert * size, (expert + 1) * size) };
      const rows = bias ? [...matrix.data].map((value) => Float64Array.of(value)) : transposed(rowsOf(matrix));
      return projection === 'down' ? rows : rows.filter((_, row) => row % 2 === (projection === 'gate' ? 0 : 1));
    }).flat();
  }
  if (part === 'attn_k_b.weight' || part === 'attn_v_b.weight') {
    const rows = rowsOf(tensor);
    return Array.from({ length: latent.heads }, (_, head) => {
      const start = head * (latent.nope + latent.value);
      return part === 'attn_k_b.weight'
        ? transposed(rows.slice(start, start + latent.nope))
        : rows.slice(start + latent.nope, start + latent.nope + latent.value);
    }).flat();
  }
  const rows = rowsOf(tensor);
  if (permuted.includes(family) && /^attn_[qk]\./.test(part!)) {
    // Place 2i of a head takes row i, place 2i + 1 row i + half.
    return rows.map(
      (_, at) => rows[at - (at % headSize) + ((at % 2) * headSize) / 2 + Math.floor((at % headSize) / 2)]!,
    );
  }
  return rows;
}

function flat(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows.flatMap((row) => [...row]));
}

/** Whether numbers agree to the last bit, zeros of both signs alike. */
function expectSame(actual: Float64Array, wanted: Float64Array, name: string): void {
  expect(actual.length, name).toBe(wanted.length);
  const different = actual.findIndex((value, at) => value !== wanted[at]);
  expect(different === -1 ? '' : `${name}[${different}]: ${actual[different]} for ${wanted[different]}`).toBe('');
}

const arithmetic = (name: string) => /_exps\.weight$/.test(name);

const metadata = (gguf: GgufFile, key: string) => gguf.metadata.get(key);

/** Keys of a model with every kind of them. */
function expectDeepseekMetadata(gguf: GgufFile): void {
  const of = (key: string) => metadata(gguf, `deepseek2.${key}`);
  expect(metadata(gguf, 'general.architecture')).toBe('deepseek2');
  expect(metadata(gguf, 'general.alignment')).toBe(32);
  expect(['block_count', 'embedding_length', 'expert_count', 'expert_used_count'].map(of)).toEqual([4, 64, 16, 4]);
  expect(['leading_dense_block_count', 'expert_shared_count', 'feed_forward_length'].map(of)).toEqual([1, 1, 96]);
  expect(['expert_gating_func', 'expert_weights_norm', 'expert_group_count'].map(of)).toEqual([2, true, 4]);
  expect(of('expert_group_used_count')).toBe(2);
  expect(['attention.head_count', 'attention.head_count_kv', 'attention.q_lora_rank'].map(of)).toEqual([4, 1, 48]);
  expect(['attention.key_length', 'attention.value_length', 'attention.kv_lora_rank'].map(of)).toEqual([40, 32, 32]);
  expect(['attention.key_length_mla', 'attention.value_length_mla'].map(of)).toEqual([24, 16]);
  expect(of('rope.dimension_count')).toBe(8);
}

describe.each(Object.keys(families))('%s as a GGUF file', (family) => {
  const folder = path.join(goldenFamiliesFolder, family);
  const stored = readCheckpointTensors(folder);
  const layers = [...stored.keys()].filter((name) =>
    /layers\.\d+\..*\.(gate|router|router\.layer)\.weight$/.test(name),
  );

  test('holds every weight of the checkpoint, rounded experts as the plan has them', async () => {
    const bits = layers.map((_, at) => [4, 8, 3, 2][at % 4]!);
    const { file, gguf } = await written(folder, quantize(bits));
    const moeLayers = layers.map((name) => Number(/layers\.(\d+)/.exec(name)![1])).sort((a, b) => a - b);
    for (const [name, tensor] of gguf.tensors) {
      const wanted = flat(expected(family, name, stored));
      const actual = decodeGguf(tensor);
      if (arithmetic(name)) {
        const width = bits[moeLayers.indexOf(Number(/\d+/.exec(name)![0]))]!;
        expect(tensor.type, name).toBe(width === 8 ? 'Q8_0' : 'Q4_0');
        expectSame(actual, rounded(wanted, width), name);
      } else {
        expect(['F32', 'BF16'], name).toContain(tensor.type);
        expectSame(actual, wanted, name);
      }
    }
    if (family === 'deepseek_v3') {
      expectDeepseekMetadata(gguf);
    }
    // Bytes that release v0.5.0 of llama.cpp ran with the logits of this engine: change them only after running it again.
    const hash = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    expect(hash).toBe((verified.files as Record<string, string>)[family]);
  });
});

test('the tokenizer goes along', async () => {
  const text = sharedPath('models/text');
  if (text === undefined) return;
  const { keys, notes } = await tokenizerMetadata(await openCheckpoint(text), 4100);
  const values = new Map(keys.map(([key, { value }]) => [key, value]));
  const definition = JSON.parse(await readFile(path.join(text, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number>; merges: (string | [string, string])[] };
  };
  const { vocab, merges } = definition.model;
  const tokens = values.get('tokenizer.ggml.tokens') as string[];
  expect(tokens.slice(4096)).toEqual(['[PAD4096]', '[PAD4097]', '[PAD4098]', '[PAD4099]']);
  expect(Object.entries(vocab).every(([token, id]) => tokens[id] === token)).toBe(true);
  expect(values.get('tokenizer.ggml.merges')).toEqual(
    merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' '))),
  );
  expect(values.get('tokenizer.ggml.model')).toBe('gpt2');
  expect(values.get('tokenizer.ggml.pre')).toBe('gpt-2');
  const types = values.get('tokenizer.ggml.token_type') as number[];
  expect([types.slice(0, 3), types.slice(4095)]).toEqual([
    [3, 3, 1],
    [1, 5, 5, 5, 5],
  ]);
  expect(values.get('tokenizer.ggml.eos_token_id')).toBe(0);
  expect(values.get('tokenizer.ggml.add_bos_token')).toBe(false);
  expect(notes).toEqual([]);
});

test('groups that are no blocks are rounded once more, and it is said', async () => {
  const folder = path.join(goldenFamiliesFolder, 'mixtral');
  const { gguf, notes } = await written(folder, quantize([4, 16, 16, 16], { group: 16 }));
  expect(gguf.tensors.get('blk.0.ffn_up_exps.weight')!.type).toBe('Q4_0');
  expect(notes).toMatch(/rounded once more/);
});

test('pruned experts and their router rows are gone, and other tensors stay', async () => {
  const keep = [0, 1, 2, 3].map((layer) => [0, 2, 3, 5, 6, 7].map((expert) => (expert + layer) % 8).sort());
  const folder = path.join(goldenFamiliesFolder, 'olmoe');
  const { gguf } = await written(folder, { prune: { method: 'frequency', ratio: 0.25, keep, seed: 0 } });
  const stored = readCheckpointTensors(folder);
  expect(metadata(gguf, 'olmoe.expert_count')).toBe(6);
  for (const [layer, kept] of keep.entries()) {
    const routerRows = rowsOf(stored.get(`model.layers.${layer}.mlp.gate.weight`)!);
    const router = gguf.tensors.get(`blk.${layer}.ffn_gate_inp.weight`)!;
    expectSame(decodeGguf(router), flat(kept.map((expert) => routerRows[expert]!)), 'router');
    const up = gguf.tensors.get(`blk.${layer}.ffn_up_exps.weight`)!;
    const name = (expert: number) => `model.layers.${layer}.mlp.experts.${expert}.up_proj.weight`;
    expectSame(decodeGguf(up), flat(kept.flatMap((expert) => rowsOf(stored.get(name(expert))!))), 'experts');
  }
});

test('experts with different bits share the type of the most, and nothing is rounded twice', async () => {
  const folder = path.join(goldenFamiliesFolder, 'olmoe');
  const { gguf, notes } = await written(folder, quantize([{ up: [4, 8, 4, 3, 2, 4, 8, 4] }, 16, 16, 16]));
  const stored = readCheckpointTensors(folder);
  const up = gguf.tensors.get('blk.0.ffn_up_exps.weight')!;
  expect(up.type).toBe('Q8_0');
  const wanted = [4, 8, 4, 3, 2, 4, 8, 4].map((bits, expert) =>
    rounded(stored.get(`model.layers.0.mlp.experts.${expert}.up_proj.weight`)!.data, bits),
  );
  expectSame(decodeGguf(up), flat(wanted), 'experts');
  expect(gguf.tensors.get('blk.0.ffn_down_exps.weight')!.type).toBe('BF16');
  expect(notes).toMatch(/type of the most/);
});

test('the scope "all" rounds attention too, and leaves routers, norms, embedding and head', async () => {
  const folder = path.join(goldenFamiliesFolder, 'mixtral');
  const stored = readCheckpointTensors(folder);
  const { gguf } = await written(folder, quantize([4, 16, 4, 4], { scope: 'all', others: 8 }));
  for (const [name, tensor] of gguf.tensors) {
    const wanted = flat(expected('mixtral', name, stored));
    const bits = /attn_(q|k|v|output)\./.test(name) ? 8 : /_exps/.test(name) && !name.startsWith('blk.1.') ? 4 : 16;
    expect(tensor.type, name).toBe(
      bits === 8 ? 'Q8_0' : bits === 4 ? 'Q4_0' : /norm|gate_inp/.test(name) ? 'F32' : 'BF16',
    );
    expectSame(decodeGguf(tensor), bits === 16 ? wanted : rounded(wanted, bits), name);
  }
});

test('models that llama.cpp computes differently are refused by name before anything is written', async () => {
  const refused = {
    'olmoe-clipped': /OLMoE.*clipped/,
    'qwen2_moe-sliding-window': /Qwen2-MoE.*window/,
    'deepseek_v2-group-limited': /DeepSeek-V2.*best of each/,
    'mixtral-dynamic-rope': /Mixtral.*"dynamic"/,
    dots1: /dots\.llm1.*queries share keys/,
  };
  const root = await temporaryFolder();
  for (const [name, reason] of Object.entries(refused)) {
    const checkpoint = tinyCheckpoints.find((each) => each.name === name)!;
    const folder = writeTinyCheckpoint(checkpoint, path.join(root, name));
    const layers = readCheckpointTensors(folder);
    const count = [...layers.keys()].filter((tensor) =>
      /mlp\.gate\.weight|block_sparse_moe\.gate\.weight/.test(tensor),
    ).length;
    const { root: place, run } = await applied(folder, quantize(Array<number>(count).fill(8)));
    const error = await failureOf(run(), name);
    expect([error.code, error.message], name).toEqual(['unsupportedFeature', expect.stringMatching(reason)]);
    expect(await readdir(place)).toEqual(['some.moeplan.json']);
  }
});
