import type { FamilyRecord } from '../familyRecord';
import { blockOnly, experts, sharedNetwork, siluByConfig, softmaxRouter } from '../stems';

/** Both generations mix tokens with Gated DeltaNet, and store norm weights as their difference from one. */
const decoder = blockOnly('its Gated DeltaNet layers are not implemented', {
  name: 'post_attention_layernorm',
  offset: 1,
});

const common = {
  activation: siluByConfig,
  shared: { ...sharedNetwork('mlp.shared_expert'), gate: 'mlp.shared_expert_gate' },
  decoder,
} as const satisfies Partial<FamilyRecord>;

/** Qwen3-Next (Qwen team, 2025). */
export const qwen3Next: FamilyRecord = {
  ...common,
  name: 'qwen3_next',
  title: 'Qwen3-Next',
  modelTypes: ['qwen3_next'],
  architectures: ['Qwen3NextForCausalLM'],
  defaults: { num_experts: 512, num_experts_per_tok: 10 },
  router: {
    ...softmaxRouter,
    gates: { kind: 'sum', epsilon: 0, when: { keys: ['norm_topk_prob'], absent: true } },
  },
  experts: experts.projectionsOrFused('mlp'),
};

/** Qwen3.5-MoE: always renormalised; hub files keep the experts of a layer in one tensor. */
export const qwen35Moe: FamilyRecord = {
  ...common,
  name: 'qwen3_5_moe',
  title: 'Qwen3.5-MoE',
  modelTypes: ['qwen3_5_moe_text', 'qwen3_5_moe'],
  architectures: ['Qwen3_5MoeForCausalLM', 'Qwen3_5MoeForConditionalGeneration'],
  defaults: { num_experts: 256, num_experts_per_tok: 8 },
  router: { ...softmaxRouter, gates: { kind: 'sum', epsilon: 0 } },
  experts: [experts.fused('mlp', 'output-major'), experts.projections('mlp')],
};
