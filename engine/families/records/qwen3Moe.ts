import type { FamilyRecord } from '../familyRecord';
import { experts, perHeadNorm, siluByConfig, softmaxRouter, standardAttention, standardDecoder } from '../stems';

/** Qwen3-MoE (arXiv 2505.09388). */
export const qwen3Moe: FamilyRecord = {
  name: 'qwen3_moe',
  title: 'Qwen3-MoE',
  modelTypes: ['qwen3_moe'],
  architectures: ['Qwen3MoeForCausalLM'],
  defaults: { num_experts: 128, num_experts_per_tok: 8, num_key_value_heads: 4, sliding_window: 4096 },
  router: softmaxRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, queryKeyNorm: perHeadNorm, mask: { rule: 'window-flag' } },
  },
};
