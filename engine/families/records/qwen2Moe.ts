import type { FamilyRecord } from '../familyRecord';
import { experts, sharedNetwork, siluByConfig, softmaxRouter, standardAttention, standardDecoder } from '../stems';

/** Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671): one shared expert behind a sigmoid gate. */
export const qwen2Moe: FamilyRecord = {
  name: 'qwen2_moe',
  title: 'Qwen2-MoE',
  modelTypes: ['qwen2_moe'],
  architectures: ['Qwen2MoeForCausalLM'],
  defaults: {
    num_experts: 60,
    num_experts_per_tok: 4,
    num_key_value_heads: 16,
    sliding_window: 4096,
    max_window_layers: 28,
  },
  router: softmaxRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: { ...sharedNetwork('mlp.shared_expert'), gate: 'mlp.shared_expert_gate' },
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, mask: { rule: 'layer-types', absent: 'qwen2' } },
  },
};
