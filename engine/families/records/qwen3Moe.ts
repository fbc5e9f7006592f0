import type { FamilyRecord } from '../familyRecord';
import { experts, perHeadNorm, siluByConfig, softmaxRouter, standardAttention, standardDecoder } from '../stems';

/** Qwen3-MoE (arXiv 2505.09388). */
export const qwen3Moe: FamilyRecord = {
  name: 'qwen3_moe',
  title: 'Qwen3-MoE',
  modelTypes: ['qwen3_moe'],
  architectures: ['Qwen3MoeForCausalLM'],
  router: softmaxRouter,
  experts: [experts.projections('mlp'), experts.fused('mlp', 'output-major')],
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, queryKeyNorm: perHeadNorm, mask: { rule: 'window-flag' } },
  },
};
