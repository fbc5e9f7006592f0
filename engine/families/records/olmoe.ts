import type { FamilyRecord } from '../familyRecord';
import { experts, projectionNorm, siluByConfig, softmaxRouter, standardAttention, standardDecoder } from '../stems';

/** OLMoE (arXiv 2409.02060). */
export const olmoe: FamilyRecord = {
  name: 'olmoe',
  title: 'OLMoE',
  modelTypes: ['olmoe'],
  architectures: ['OlmoeForCausalLM'],
  defaults: { num_experts: 64, num_experts_per_tok: 8 },
  router: softmaxRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, queryKeyNorm: projectionNorm, clipKeys: ['clip_qkv'] },
    defaultEpsilon: 1e-5,
  },
};
