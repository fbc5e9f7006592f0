import {
  attention,
  commonConfig,
  decoder,
  experts,
  network,
  preNorms,
  router,
  tiny,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const config = {
  ...commonConfig,
  architectures: ['Ernie4_5_MoeForCausalLM'],
  model_type: 'ernie4_5_moe',
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  moe_num_experts: tiny.experts,
  moe_k: tiny.activeExperts,
  moe_num_shared_experts: 2,
  moe_layer_start_index: 1,
  moe_layer_end_index: -1,
  moe_layer_interval: 1,
  moe_norm_min: 1e-12,
  use_bias: false,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
};

function checkpoint(
  name: string,
  changes: Record<string, unknown>,
  isMixture: (index: number) => boolean,
  seed: number,
): TinyCheckpoint {
  const merged = { ...config, ...changes };
  const withBias = merged.use_bias;
  return {
    name: `ernie4_5_moe${name}`,
    config: merged,
    seed,
    tensors: decoder(
      (layer, index) => [
        ...preNorms(layer),
        ...attention(layer, { bias: withBias, outputBias: withBias }),
        ...(isMixture(index)
          ? [
              router(`${layer}.mlp.gate`, tiny.experts, 'F32'),
              {
                name: `${layer}.mlp.moe_statics.e_score_correction_bias`,
                shape: [1, tiny.experts],
                role: 'choiceBias' as const,
                storage: 'F32' as const,
              },
              ...experts(`${layer}.mlp.experts`),
              ...(merged.moe_num_shared_experts > 0
                ? network(`${layer}.mlp.shared_experts`, merged.moe_num_shared_experts * tiny.expert, {
                    bias: withBias,
                  })
                : []),
            ]
          : network(`${layer}.mlp`, tiny.dense, { bias: withBias })),
      ],
      { tied: merged.tie_word_embeddings },
    ),
  };
}

export const ernie45: readonly TinyCheckpoint[] = [
  checkpoint('', { tie_word_embeddings: true }, (index) => index >= 1, 101),
  checkpoint(
    '-bias-interval',
    { use_bias: true, moe_layer_interval: 2, moe_layer_start_index: 0, moe_num_shared_experts: 0, moe_norm_min: 0.6 },
    (index) => index % 2 === 1,
    102,
  ),
];
