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

/** dots.llm1 (arXiv 2506.05767). */
export const dots1: FamilyRecord = {
  name: 'dots1',
  title: 'dots.llm1',
  modelTypes: ['dots1'],
  architectures: ['Dots1ForCausalLM'],
  defaults: { num_key_value_heads: 32, sliding_window: 4096, max_window_layers: 62 },
  router: {
    ...sigmoidGroupRouter,
    gates: { kind: 'sum', epsilon: 1e-20, when: { keys: ['norm_topk_prob'], absent: false } },
  },
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: perHeadNorm,
      mask: { rule: 'layer-types', absent: 'upper-window' },
    },
  },
};
