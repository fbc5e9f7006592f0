import type { FamilyRecord } from '../familyRecord';
import { experts, projectionNorm, siluByConfig, softmaxRouter, standardAttention, standardDecoder } from '../stems';

/** OLMoE (arXiv 2409.02060). */
export const olmoe: FamilyRecord = {
  name: 'olmoe',
  title: 'OLMoE',
  modelTypes: ['olmoe'],
  architectures: ['OlmoeForCausalLM'],
  router: softmaxRouter,
  experts: [experts.projections('mlp')],
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, queryKeyNorm: projectionNorm, clipKeys: ['clip_qkv'] },
    defaultEpsilon: 1e-5,
  },
};
