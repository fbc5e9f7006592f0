import type { FamilyRecord, RouterRecord } from '../familyRecord';
import { blockOnly, experts, postAttentionNorm, sharedNetwork, siluByConfig } from '../stems';

const router: RouterRecord = {
  weight: 'block_sparse_moe.gate.weight',
  selectionBias: 'block_sparse_moe.gate.e_score_correction_bias',
  score: 'sigmoid',
  groups: {
    countKeys: ['num_expert_group', 'n_group'],
    keptKeys: ['topk_group'],
    score: 'top2-sum',
    fill: 'negative-infinity',
  },
  gates: { kind: 'sum', epsilon: 1e-20, when: { keys: ['moe_renormalize', 'norm_topk_prob'], absent: true } },
  scaleKeys: ['routed_scaling_factor'],
};

/** Kimi-Linear (arXiv 2510.26692): the router of DeepSeek-V3 under other names. */
export const kimiLinear: FamilyRecord = {
  name: 'kimi_linear',
  title: 'Kimi-Linear',
  modelTypes: ['kimi_linear'],
  architectures: ['KimiLinearForCausalLM'],
  defaults: { num_experts: 256, num_experts_per_token: 8, routed_scaling_factor: 2.446, rms_norm_eps: 1e-5 },
  router,
  experts: [experts.numbered('block_sparse_moe')],
  activation: siluByConfig,
  inMemory: {
    router: { ...router, weight: 'mlp.gate.weight', selectionBias: 'mlp.gate.e_score_correction_bias' },
    experts: [experts.fused('mlp', 'output-major')],
    shared: sharedNetwork('mlp.shared_experts'),
  },
  shared: sharedNetwork('block_sparse_moe.shared_experts'),
  decoder: blockOnly('its Kimi Delta Attention layers are not implemented', postAttentionNorm),
};
