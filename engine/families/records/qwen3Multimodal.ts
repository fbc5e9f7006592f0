import type { FamilyRecord } from '../familyRecord';
import {
  experts,
  perHeadNorm,
  siluByConfig,
  softmaxRouter,
  standardAttention,
  standardDecoder,
  textOnly,
} from '../stems';

/** Text has equal position ids on all axes, for which the multi-axis rotary embedding is the plain one. */
const common = {
  warnings: [textOnly],
  activation: siluByConfig,
} as const satisfies Partial<FamilyRecord>;

const mixer = { ...standardAttention, queryKeyNorm: perHeadNorm } as const;

/** Text model of Qwen3-VL-MoE (arXiv 2511.21631): always renormalised; hub files store experts input-major. */
export const qwen3VlMoe: FamilyRecord = {
  ...common,
  name: 'qwen3_vl_moe',
  title: 'Qwen3-VL-MoE',
  modelTypes: ['qwen3_vl_moe_text', 'qwen3_vl_moe'],
  architectures: ['Qwen3VLMoeForConditionalGeneration'],
  defaults: { num_experts: 60, num_experts_per_tok: 4, num_key_value_heads: 16, head_dim: 128 },
  router: { ...softmaxRouter, gates: { kind: 'sum', epsilon: 0 } },
  experts: [experts.fused('mlp', 'input-major'), experts.projections('mlp')],
  decoder: { ...standardDecoder, mixer: { ...mixer, rotary: { pairing: 'half', defaultTheta: 500000 } } },
};

/** Thinker of Qwen3-Omni (arXiv 2509.17765); the talker's own experts are left out. */
export const qwen3OmniMoe: FamilyRecord = {
  ...common,
  name: 'qwen3_omni_moe',
  title: 'Qwen3-Omni-MoE (thinker)',
  modelTypes: ['qwen3_omni_moe_text', 'qwen3_omni_moe_thinker', 'qwen3_omni_moe'],
  architectures: ['Qwen3OmniMoeForConditionalGeneration', 'Qwen3OmniMoeThinkerForConditionalGeneration'],
  defaults: { num_experts: 128, num_experts_per_tok: 8, num_key_value_heads: 4 },
  router: { ...softmaxRouter, gates: { kind: 'sum', epsilon: 0, when: { keys: ['norm_topk_prob'], absent: true } } },
  experts: experts.projectionsOrFused('mlp'),
  decoder: { ...standardDecoder, mixer: { ...mixer, rotary: { pairing: 'half', defaultTheta: 1e6 } } },
};
