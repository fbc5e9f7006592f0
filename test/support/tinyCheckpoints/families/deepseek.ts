import type { TinyTensor } from '../randomTensors';
import {
  commonConfig,
  decoder,
  experts,
  linear,
  network,
  norm,
  preNorms,
  router,
  tiny,
  weight,
  type TinyCheckpoint,
} from '../tinyCheckpoint';
import { fp8Block } from '../encodeTensors';

const latent = { query: 48, keyValue: 32, nope: 16, rope: 8, value: 12 } as const;

const base = {
  ...commonConfig,
  num_key_value_heads: tiny.heads,
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  kv_lora_rank: latent.keyValue,
  qk_nope_head_dim: latent.nope,
  qk_rope_head_dim: latent.rope,
  v_head_dim: latent.value,
  num_experts_per_tok: 4,
  first_k_dense_replace: 1,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
};

const v2 = {
  ...base,
  architectures: ['DeepseekV2ForCausalLM'],
  model_type: 'deepseek_v2',
  n_routed_experts: 16,
  n_shared_experts: 2,
  norm_topk_prob: false,
  topk_method: 'greedy',
  q_lora_rank: null,
};

const v3 = {
  ...base,
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  n_routed_experts: 16,
  n_shared_experts: 1,
  n_group: 4,
  topk_group: 2,
  norm_topk_prob: true,
  routed_scaling_factor: 2.5,
  q_lora_rank: latent.query,
};

/** YaRN with the two magnitudes of DeepSeek, which also change the scale of the scores. */
const yarn = {
  type: 'yarn',
  factor: 8,
  original_max_position_embeddings: 64,
  beta_fast: 32,
  beta_slow: 1,
  mscale: 0.707,
  mscale_all_dim: 1,
};

function attention(layer: string, lowRankQuery: boolean, withBias: boolean): TinyTensor[] {
  const prefix = `${layer}.self_attn`;
  const queryWidth = tiny.heads * (latent.nope + latent.rope);
  return [
    ...(lowRankQuery
      ? [
          ...linear(`${prefix}.q_a_proj`, latent.query, tiny.hidden, withBias),
          norm(`${prefix}.q_a_layernorm`, latent.query),
          weight(`${prefix}.q_b_proj`, queryWidth, latent.query),
        ]
      : [weight(`${prefix}.q_proj`, queryWidth, tiny.hidden)]),
    ...linear(`${prefix}.kv_a_proj_with_mqa`, latent.keyValue + latent.rope, tiny.hidden, withBias),
    norm(`${prefix}.kv_a_layernorm`, latent.keyValue),
    weight(`${prefix}.kv_b_proj`, tiny.heads * (latent.nope + latent.value), latent.keyValue),
    ...linear(`${prefix}.o_proj`, tiny.hidden, tiny.heads * latent.value, withBias),
  ];
}

function checkpoint(name: string, config: Record<string, unknown>, seed: number): TinyCheckpoint {
  const count = config.n_routed_experts as number;
  const hasChoiceBias = config.topk_method === undefined;
  return {
    name,
    config,
    seed,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer, config.q_lora_rank !== null, config.attention_bias === true),
      ...(index === 0
        ? network(`${layer}.mlp`, tiny.dense)
        : [
            router(`${layer}.mlp.gate`, count),
            ...(hasChoiceBias ? [choiceBias(`${layer}.mlp.gate`, count)] : []),
            ...experts(`${layer}.mlp.experts`, { count }),
            ...network(`${layer}.mlp.shared_experts`, (config.n_shared_experts as number) * tiny.expert),
          ]),
    ]),
  };
}

function choiceBias(prefix: string, count: number): TinyTensor {
  return { name: `${prefix}.e_score_correction_bias`, shape: [count], role: 'choiceBias', storage: 'F32' };
}

/** The same checkpoint with every projection of attention and networks in FP8 with block scales, as on the hub. */
function inFp8(plain: TinyCheckpoint, name: string): TinyCheckpoint {
  return {
    ...plain,
    name,
    config: {
      ...plain.config,
      quantization_config: {
        quant_method: 'fp8',
        fmt: 'e4m3',
        activation_scheme: 'dynamic',
        weight_block_size: [fp8Block, fp8Block],
      },
    },
    tensors: plain.tensors.map((tensor) =>
      /_proj(_with_mqa)?\.weight$/.test(tensor.name) ? { ...tensor, storage: 'FP8' as const } : tensor,
    ),
  };
}

export const deepseek: readonly TinyCheckpoint[] = [
  checkpoint(
    'deepseek_v2-low-rank-query-yarn',
    { ...v2, q_lora_rank: latent.query, rope_scaling: yarn, attention_bias: true },
    41,
  ),
  checkpoint(
    'deepseek_v2-group-limited',
    { ...v2, topk_method: 'group_limited_greedy', n_group: 4, topk_group: 2, routed_scaling_factor: 4.5 },
    3042,
  ),
  checkpoint('deepseek_v3-yarn', { ...v3, rope_scaling: { ...yarn, mscale: 1 } }, 43),
  checkpoint('deepseek_v3-full-rank-query', { ...v3, q_lora_rank: null, norm_topk_prob: false }, 1044),
  checkpoint('deepseek_v3-half-rotation', { ...v3, rope_interleave: false }, 45),
  inFp8(checkpoint('deepseek_v3', v3, 46), 'deepseek_v3-fp8'),
  checkpoint('glm4_moe_lite', { ...v3, architectures: ['Glm4MoeLiteForCausalLM'], model_type: 'glm4_moe_lite' }, 48),
  checkpoint('kimi_k2', { ...v3, model_type: 'kimi_k2', n_group: 1, topk_group: 1, routed_scaling_factor: 2.827 }, 47),
];
