import {
  attention,
  commonConfig,
  decoder,
  experts,
  network,
  preNorms,
  router,
  tiny,
  weight,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const base = {
  ...commonConfig,
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  num_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  decoder_sparse_step: 1,
  mlp_only_layers: [],
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
};

const sharedWidth = 48;

function qwen2(
  name: string,
  changes: Record<string, unknown>,
  isDense: (index: number) => boolean,
  seed: number,
): TinyCheckpoint {
  return {
    name: `qwen2_moe-${name}`,
    config: {
      ...base,
      architectures: ['Qwen2MoeForCausalLM'],
      model_type: 'qwen2_moe',
      shared_expert_intermediate_size: sharedWidth,
      norm_topk_prob: false,
      ...changes,
    },
    seed,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer, { bias: true }),
      ...(isDense(index)
        ? network(`${layer}.mlp`, tiny.dense)
        : [
            router(`${layer}.mlp.gate`),
            ...experts(`${layer}.mlp.experts`),
            ...network(`${layer}.mlp.shared_expert`, sharedWidth),
            weight(`${layer}.mlp.shared_expert_gate`, 1, tiny.hidden),
          ]),
    ]),
  };
}

function qwen3(name: string, changes: Record<string, unknown>, headDim: number, seed: number): TinyCheckpoint {
  return {
    name: `qwen3_moe-${name}`,
    config: {
      ...base,
      architectures: ['Qwen3MoeForCausalLM'],
      model_type: 'qwen3_moe',
      head_dim: headDim,
      norm_topk_prob: true,
      ...changes,
    },
    seed,
    tensors: decoder((layer) => [
      ...preNorms(layer),
      ...attention(layer, { headDim, norms: { names: ['q_norm', 'k_norm'], over: 'head' } }),
      router(`${layer}.mlp.gate`),
      ...experts(`${layer}.mlp.experts`),
    ]),
  };
}

export const qwen: readonly TinyCheckpoint[] = [
  qwen2('sparse-step', { decoder_sparse_step: 2 }, (index) => index % 2 === 0, 31),
  qwen2(
    'sliding-window',
    {
      use_sliding_window: true,
      sliding_window: 12,
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
      mlp_only_layers: [2],
      norm_topk_prob: true,
    },
    (index) => index === 2,
    3032,
  ),
  qwen3('wide-heads', {}, 24, 33),
  qwen3('sliding-window', { use_sliding_window: true, sliding_window: 16, norm_topk_prob: false }, 16, 2034),
  qwen3(
    'yarn-rope',
    { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 }, rope_theta: 1000000 },
    16,
    1035,
  ),
];
