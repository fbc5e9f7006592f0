import type { FamilyRecord } from '../familyRecord';
import {
  experts,
  perHeadNorm,
  sharedNetwork,
  sigmoidGroupRouter,
  siluByConfig,
  standardAttention,
  standardDecoder,
} from '../stems';

/** GLM-4.5 and GLM-4.6 (arXiv 2508.06471). */
export const glm4Moe: FamilyRecord = {
  name: 'glm4_moe',
  title: 'GLM-4-MoE',
  modelTypes: ['glm4_moe'],
  architectures: ['Glm4MoeForCausalLM'],
  defaults: { n_routed_experts: 128, num_experts_per_tok: 8, num_key_value_heads: 8 },
  router: sigmoidGroupRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: { ...perHeadNorm, when: { keys: ['use_qk_norm'], absent: false } },
      rotary: { pairing: 'half', defaultTheta: 10000, defaultPartial: 0.5 },
    },
    defaultEpsilon: 1e-5,
  },
};
