import type { TinyTensor } from '../randomTensors';
import { norm, router, tiny, weight, type TinyCheckpoint } from '../tinyCheckpoint';

const flat = [tiny.experts * tiny.expert, tiny.hidden] as const;

function block(name: string): TinyTensor[] {
  const attention = `${name}.norm_attn_norm.attn`;
  const experts = `${name}.ffn.experts.mlp`;
  return [
    norm(`${name}.norm_attn_norm.norm_1`),
    norm(`${name}.norm_attn_norm.norm_2`),
    weight(`${attention}.Wqkv`, tiny.hidden + 2 * tiny.keyValueHeads * tiny.headDim, tiny.hidden),
    weight(`${attention}.out_proj`, tiny.hidden, tiny.hidden),
    router(`${name}.ffn.router.layer`),
    { name: `${experts}.w1`, shape: flat, role: 'weight' },
    { name: `${experts}.v1`, shape: flat, role: 'weight' },
    { name: `${experts}.w2`, shape: flat, role: 'weight', fanIn: tiny.expert },
  ];
}

function checkpoint(
  name: string,
  changes: { readonly clip_qkv: number | null; readonly moe_normalize_expert_weights: number | null },
  seed: number,
): TinyCheckpoint {
  return {
    name: `dbrx${name}`,
    config: {
      architectures: ['DbrxForCausalLM'],
      model_type: 'dbrx',
      vocab_size: tiny.vocabulary,
      d_model: tiny.hidden,
      n_layers: tiny.layers,
      n_heads: tiny.heads,
      max_seq_len: 512,
      tie_word_embeddings: false,
      torch_dtype: 'float32',
      rope_theta: 50000,
      attn_config: { kv_n_heads: tiny.keyValueHeads, clip_qkv: changes.clip_qkv, rope_theta: 50000 },
      ffn_config: {
        ffn_hidden_size: tiny.expert,
        moe_num_experts: tiny.experts,
        moe_top_k: tiny.activeExperts,
        moe_normalize_expert_weights: changes.moe_normalize_expert_weights,
        ffn_act_fn: { name: 'silu' },
      },
    },
    seed,
    tensors: [
      { name: 'transformer.wte.weight', shape: [tiny.vocabulary, tiny.hidden], role: 'embedding' },
      ...Array.from({ length: tiny.layers }, (_, index) => block(`transformer.blocks.${index}`)).flat(),
      norm('transformer.norm_f'),
      weight('lm_head', tiny.vocabulary, tiny.hidden),
    ],
  };
}

export const dbrx: readonly TinyCheckpoint[] = [
  checkpoint('', { clip_qkv: 1, moe_normalize_expert_weights: 1 }, 141),
  checkpoint('-unclipped-norm-2', { clip_qkv: null, moe_normalize_expert_weights: 2 }, 1142),
  checkpoint('-not-renormalized', { clip_qkv: 8, moe_normalize_expert_weights: null }, 143),
];
