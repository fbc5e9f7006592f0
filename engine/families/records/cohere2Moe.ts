import type { FamilyRecord } from '../familyRecord';
import { blockOnly, experts, sharedNetwork, siluByConfig } from '../stems';

/** Cohere2-MoE: softmax or sigmoid of the chosen logits; shared and routed experts summed or averaged. */
export const cohere2Moe: FamilyRecord = {
  name: 'cohere2_moe',
  title: 'Cohere2-MoE',
  modelTypes: ['cohere2_moe'],
  architectures: ['Cohere2MoeForCausalLM'],
  defaults: { num_experts: 8, num_experts_per_tok: 2 },
  router: {
    weight: 'mlp.gate.weight',
    score: 'logits',
    gates: {
      kind: 'by-key',
      key: 'expert_selection_fn',
      absent: 'softmax',
      rules: {
        softmax: { kind: 'softmax-chosen' },
        sigmoid: { kind: 'sigmoid-chosen', dividedWhen: { keys: ['norm_topk_prob'], absent: true } },
      },
    },
  },
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: {
    ...sharedNetwork('mlp.shared_experts'),
    averagedWhen: { key: 'shared_expert_combination_strategy', equals: 'average', absent: 'average' },
  },
  decoder: blockOnly('its attention and experts run in parallel', { name: 'input_layernorm' }),
};
