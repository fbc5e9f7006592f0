import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';

/** Real dimensions of published checkpoints, for benchmarks; the number of layers is the caller's. */
export const syntheticShapes = {
  'qwen1.5-moe-a2.7b': {
    modelType: 'qwen2_moe',
    hidden: 2048,
    width: 1408,
    experts: 60,
    active: 4,
    shared: 5632,
    heads: 16,
    stem: 'mlp',
    names: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  },
  'olmoe-1b-7b': {
    modelType: 'olmoe',
    hidden: 2048,
    width: 1024,
    experts: 64,
    active: 8,
    shared: 0,
    heads: 16,
    stem: 'mlp',
    names: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  },
  'mixtral-8x7b': {
    modelType: 'mixtral',
    hidden: 4096,
    width: 14336,
    experts: 8,
    active: 2,
    shared: 0,
    heads: 32,
    stem: 'block_sparse_moe',
    names: { gate: 'w1', up: 'w3', down: 'w2' },
  },
} as const;

export type SyntheticShape = keyof typeof syntheticShapes;

/** Values of one block of random weights; longer tensors repeat it from a different place each. */
const blockValues = 2 ** 22;
const vocabulary = 1024;

/**
 * Writes a checkpoint of real layer dimensions with random bf16 weights (standard deviation 0.02), one shard per layer.
 * @returns bytes written
 */
export function writeSyntheticCheckpoint(folder: string, name: SyntheticShape, layers: number): number {
  const shape = syntheticShapes[name];
  const { hidden, width, experts, stem, names, shared } = shape;
  const random = randomBlock();
  const weightMap: Record<string, string> = {};
  let written = 0;
  const shard = (file: string, tensors: readonly (readonly [string, readonly number[]])[]) => {
    tensors.forEach(([tensor]) => (weightMap[tensor] = file));
    written += writeShard(path.join(folder, file), tensors, random);
  };
  for (let layer = 0; layer < layers; layer += 1) {
    const at = `model.layers.${layer}`;
    const network = (prefix: string, size: number) =>
      [
        [`${prefix}.${names.gate}.weight`, [size, hidden]],
        [`${prefix}.${names.up}.weight`, [size, hidden]],
        [`${prefix}.${names.down}.weight`, [hidden, size]],
      ] as const;
    const projections = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map(
      (projection) => [`${at}.self_attn.${projection}.weight`, [hidden, hidden]] as const,
    );
    const norms = ['input_layernorm', 'post_attention_layernorm'].map(
      (norm) => [`${at}.${norm}.weight`, [hidden]] as const,
    );
    const extra =
      shape.modelType === 'olmoe'
        ? ([
            [`${at}.self_attn.q_norm.weight`, [hidden]],
            [`${at}.self_attn.k_norm.weight`, [hidden]],
          ] as const)
        : [];
    shard(`model-${String(layer).padStart(5, '0')}.safetensors`, [
      [`${at}.${stem}.gate.weight`, [experts, hidden]],
      ...Array.from({ length: experts }, (_, expert) => network(`${at}.${stem}.experts.${expert}`, width)).flat(),
      ...(shared > 0
        ? [...network(`${at}.mlp.shared_expert`, shared), [`${at}.mlp.shared_expert_gate.weight`, [1, hidden]] as const]
        : []),
      ...projections,
      ...norms,
      ...extra,
    ]);
  }
  shard('model-ends.safetensors', [
    ['model.embed_tokens.weight', [vocabulary, hidden]],
    ['model.norm.weight', [hidden]],
    ['lm_head.weight', [vocabulary, hidden]],
  ]);
  writeFileSync(path.join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(configOf(name, layers)));
  return written;
}

function configOf(name: SyntheticShape, layers: number): Record<string, unknown> {
  const { modelType, hidden, width, experts, active, shared, heads } = syntheticShapes[name];
  const counts = modelType === 'mixtral' ? { num_local_experts: experts } : { num_experts: experts };
  const widths =
    modelType === 'qwen2_moe'
      ? {
          moe_intermediate_size: width,
          shared_expert_intermediate_size: shared,
          intermediate_size: shared,
          qkv_bias: false,
        }
      : { intermediate_size: width };
  return {
    model_type: modelType,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    max_position_embeddings: 4096,
    vocab_size: vocabulary,
    num_experts_per_tok: active,
    torch_dtype: 'bfloat16',
    ...counts,
    ...widths,
  };
}

function randomBlock(): Buffer {
  const values = new Float32Array(blockValues);
  fillStandardNormal(values, new SeededRandom(0));
  const bits = new Uint32Array(values.map((value) => value * 0.02).buffer);
  return Buffer.from(Uint16Array.from(bits, (value) => value >>> 16).buffer);
}

function writeShard(file: string, tensors: readonly (readonly [string, readonly number[]])[], random: Buffer): number {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(([tensor, shape]) => {
      const start = end;
      end += shape.reduce((product, size) => product * size, 2);
      return [tensor, { dtype: 'BF16', shape, data_offsets: [start, end] }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const descriptor = openSync(file, 'w');
  try {
    writeSync(descriptor, length);
    writeSync(descriptor, text);
    tensors.forEach(([, shape], index) => {
      let left = shape.reduce((product, size) => product * size, 2);
      let from = ((index * 7919) % 1024) * 4096;
      while (left > 0) {
        const take = Math.min(left, random.length - from);
        writeSync(descriptor, random, from, take);
        left -= take;
        from = 0;
      }
    });
  } finally {
    closeSync(descriptor);
  }
  return 8 + text.length + end;
}
