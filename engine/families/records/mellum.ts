import type { FamilyRecord } from '../familyRecord';
import {
  blockOnly,
  experts,
  perHeadNorm,
  postAttentionNorm,
  siluByConfig,
  softmaxRouter,
  standardAttention,
  standardDecoder,
} from '../stems';

/** Families with the blocks of Qwen3-MoE. */
const common = {
  router: softmaxRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
} as const satisfies Partial<FamilyRecord>;

/** Mellum (JetBrains): rotary embedding and window by layer type; renormalised unless the config says otherwise. */
export const mellum: FamilyRecord = {
  ...common,
  name: 'mellum',
  title: 'Mellum',
  modelTypes: ['mellum'],
  architectures: ['MellumForCausalLM'],
  defaults: {
    num_experts: 64,
    num_experts_per_tok: 8,
    num_key_value_heads: 4,
    head_dim: 128,
    sliding_window: 1024,
    rope_parameters: {
      full_attention: { rope_type: 'default', rope_theta: 500000 },
      sliding_attention: { rope_type: 'default', rope_theta: 10000 },
    },
  },
  router: { ...softmaxRouter, gates: { kind: 'sum', epsilon: 0, when: { keys: ['norm_topk_prob'], absent: true } } },
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: perHeadNorm,
      mask: { rule: 'layer-types', absent: 'causal' },
    },
  },
};

/** LLaDA-MoE (arXiv 2509.24389). */
export const lladaMoe: FamilyRecord = {
  ...common,
  name: 'llada_moe',
  title: 'LLaDA-MoE',
  modelTypes: ['llada_moe', 'llada'],
  architectures: ['LLaDAMoEModelLM', 'LLaDAMoEModel'],
  requires: 'num_experts',
  decoder: blockOnly('it is a diffusion model that sees all positions', postAttentionNorm),
};

/** RND1 (Radical Numerics, 2025). */
export const rnd1: FamilyRecord = {
  ...common,
  name: 'rnd1',
  title: 'RND1',
  modelTypes: ['rnd1'],
  architectures: ['RND1', 'RND1LM'],
  decoder: blockOnly('it is a diffusion model that sees all positions', postAttentionNorm),
};
