import {
  attention,
  commonConfig,
  decoder,
  experts,
  preNorms,
  router,
  tiny,
  wNames,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

export const miniCpm: readonly TinyCheckpoint[] = [
  {
    name: 'minicpm',
    config: {
      ...commonConfig,
      architectures: ['MiniCPMForCausalLM'],
      model_type: 'minicpm',
      intermediate_size: tiny.expert,
      num_experts: tiny.experts,
      num_experts_per_tok: 2,
      rms_norm_eps: 1e-5,
      scale_emb: 3,
      scale_depth: 1.4,
      dim_model_base: 32,
      tie_word_embeddings: true,
      rope_theta: 10000,
    },
    seed: 1131,
    tensors: decoder(
      (layer) => [
        ...preNorms(layer),
        ...attention(layer),
        router(`${layer}.mlp.gate`),
        ...experts(`${layer}.mlp.experts`, { names: wNames }),
      ],
      { tied: true },
    ),
  },
];
