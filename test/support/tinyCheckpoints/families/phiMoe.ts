import {
  attention,
  bias,
  commonConfig,
  decoder,
  experts,
  preNorms,
  router,
  tiny,
  weight,
  wNames,
  type TinyCheckpoint,
} from '../tinyCheckpoint';
import { longRopeFactors } from './mixtral';

const config = {
  ...commonConfig,
  architectures: ['PhiMoEForCausalLM'],
  model_type: 'phimoe',
  intermediate_size: tiny.expert,
  num_local_experts: tiny.experts,
  num_experts_per_tok: 2,
  router_jitter_noise: 0.01,
  input_jitter_noise: 0,
  rms_norm_eps: 1e-5,
  attention_bias: true,
  lm_head_bias: true,
  sliding_window: null,
  rope_theta: 10000,
  original_max_position_embeddings: 64,
  rope_scaling: {
    type: 'longrope',
    ...longRopeFactors,
    short_mscale: 1.243,
    long_mscale: 1.31,
    original_max_position_embeddings: 64,
  },
};

function checkpoint(name: string, changes: Record<string, unknown>, seed: number): TinyCheckpoint {
  return {
    name,
    config: { ...config, ...changes },
    seed,
    tensors: [
      ...decoder(
        (layer) => [
          ...preNorms(layer),
          bias(`${layer}.input_layernorm`, tiny.hidden),
          bias(`${layer}.post_attention_layernorm`, tiny.hidden),
          ...attention(layer, { bias: true, outputBias: true }),
          router(`${layer}.block_sparse_moe.gate`),
          ...experts(`${layer}.block_sparse_moe.experts`, { names: wNames }),
        ],
        { head: [weight('lm_head', tiny.vocabulary, tiny.hidden), bias('lm_head', tiny.vocabulary)] },
      ),
      bias('model.norm', tiny.hidden),
    ],
  };
}

export const phiMoe: readonly TinyCheckpoint[] = [checkpoint('phimoe-longrope-bias', {}, 61)];

/** Trained on 32 positions: the 48 tokens of every test sequence go past them. Not captured from Transformers. */
export const phiMoePastOriginal = checkpoint(
  'phimoe-longrope-past-original',
  {
    original_max_position_embeddings: 32,
    rope_scaling: { ...config.rope_scaling, original_max_position_embeddings: 32 },
  },
  61,
);
