import type { FamilyRecord } from '../familyRecord';
import {
  blockOnly,
  experts,
  postAttentionNorm,
  sharedNetwork,
  sigmoidGroupRouter,
  siluByConfig,
  softmaxRouter,
} from '../stems';

const common = {
  tensors: { embedding: 'word_embeddings.weight' },
  experts: [experts.projections('mlp')],
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: blockOnly('its fused attention projections are not described', postAttentionNorm),
} as const satisfies Partial<FamilyRecord>;

/** Ling (arXiv 2503.05139). */
export const bailingMoe: FamilyRecord = {
  ...common,
  name: 'bailing_moe',
  title: 'Ling / Bailing MoE',
  modelTypes: ['bailing_moe'],
  architectures: ['BailingMoeForCausalLM'],
  router: {
    ...softmaxRouter,
    gates: { kind: 'sum', epsilon: 0, when: { keys: ['norm_topk_prob'], absent: true } },
  },
};

/**
 * Ling 2.0 (arXiv 2510.22115): the router of DeepSeek-V3 with the bias under another name. Its releases state the model type
 * of the first generation.
 */
export const bailingMoeV2: FamilyRecord = {
  ...common,
  name: 'bailing_moe_v2',
  title: 'Ling 2 / Bailing MoE V2',
  modelTypes: ['bailing_moe_v2'],
  architectures: ['BailingMoeV2ForCausalLM'],
  knownByArchitecture: true,
  defaults: { n_group: 8, topk_group: 4, routed_scaling_factor: 2.5 },
  router: {
    ...sigmoidGroupRouter,
    selectionBias: 'mlp.gate.expert_bias',
    selectionBiasWhen: { keys: ['moe_router_enable_expert_bias'], absent: true },
  },
};
