import {
  attention,
  commonConfig,
  decoder,
  experts,
  norm,
  preNorms,
  router,
  tiny,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const base = {
  ...commonConfig,
  intermediate_size: tiny.expert,
  num_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
};

const norms = { names: ['q_norm', 'k_norm'], over: 'projection' } as const;

function olmoe(name: string, changes: Record<string, unknown>, withBias: boolean, seed: number): TinyCheckpoint {
  return {
    name: `olmoe-${name}`,
    config: { ...base, architectures: ['OlmoeForCausalLM'], model_type: 'olmoe', attention_bias: withBias, ...changes },
    seed,
    tensors: decoder((layer) => [
      ...preNorms(layer),
      ...attention(layer, { norms, bias: withBias, outputBias: withBias }),
      router(`${layer}.mlp.gate`),
      ...experts(`${layer}.mlp.experts`),
    ]),
  };
}

const flexOlmo: TinyCheckpoint = {
  name: 'flex_olmo',
  config: { ...base, architectures: ['FlexOlmoForCausalLM'], model_type: 'flex_olmo', norm_topk_prob: false },
  seed: 21,
  tensors: decoder((layer) => [
    norm(`${layer}.post_attention_layernorm`),
    norm(`${layer}.post_feedforward_layernorm`),
    ...attention(layer, { norms }),
    // Nothing normalizes what enters the block, so a usual router would send nearly all weight to one expert.
    { ...router(`${layer}.mlp.gate`), fanIn: 16 * tiny.hidden },
    ...experts(`${layer}.mlp.experts`),
  ]),
};

export const olmo: readonly TinyCheckpoint[] = [
  olmoe('clipped', { clip_qkv: 0.7, norm_topk_prob: false }, false, 2022),
  olmoe('renormalized-bias', { norm_topk_prob: true }, true, 23),
  flexOlmo,
];
