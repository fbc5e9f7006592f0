import type { FamilyRecord, RouterRecord } from '../familyRecord';
import {
  blockOnly,
  experts,
  perHeadNorm,
  postAttentionNorm,
  sharedNetwork,
  siluByConfig,
  standardAttention,
  standardDecoder,
} from '../stems';

/** Sigmoid scores, a bias for the choice, always renormalised: the families differ in names, epsilon and scale. */
function router(weight: string, selectionBias: string, scaleKey: string, epsilon: number): RouterRecord {
  return { weight, selectionBias, score: 'sigmoid', gates: { kind: 'sum', epsilon }, scaleKeys: [scaleKey] };
}

/** HunYuan V3 (Tencent, 2026). */
export const hunyuanV3: FamilyRecord = {
  name: 'hy_v3',
  title: 'HunYuan V3',
  modelTypes: ['hy_v3'],
  architectures: ['HYV3ForCausalLM'],
  defaults: {
    num_experts: 192,
    num_experts_per_tok: 8,
    num_key_value_heads: 8,
    head_dim: 128,
    router_scaling_factor: 2.826,
  },
  router: router('mlp.router.gate.weight', 'mlp.expert_bias', 'router_scaling_factor', 1e-20),
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_mlp'),
  inMemory: {
    router: router('mlp.gate.weight', 'mlp.e_score_correction_bias', 'router_scaling_factor', 1e-20),
    experts: experts.projectionsOrFused('mlp'),
    shared: sharedNetwork('mlp.shared_experts'),
  },
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: perHeadNorm,
      rotary: { pairing: 'half', defaultTheta: 11_158_840 },
    },
    defaultEpsilon: 1e-5,
  },
};

/** AFMoE / Trinity (Arcee, 2025). */
export const afmoe: FamilyRecord = {
  name: 'afmoe',
  title: 'AFMoE (Trinity)',
  modelTypes: ['afmoe'],
  architectures: ['AfmoeForCausalLM'],
  defaults: { num_experts: 64, num_experts_per_tok: 6, rms_norm_eps: 1e-5 },
  router: router('mlp.router.gate.weight', 'mlp.expert_bias', 'route_scale', 1e-20),
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: blockOnly('its attention is gated', { name: 'pre_mlp_layernorm' }),
};

/** Laguna (poolside, 2026): optional soft cap on the logits, the bias stored beside the experts. */
export const laguna: FamilyRecord = {
  name: 'laguna',
  title: 'Laguna',
  modelTypes: ['laguna'],
  architectures: ['LagunaForCausalLM'],
  defaults: { num_experts: 256, num_experts_per_tok: 8 },
  router: {
    ...router('mlp.gate.weight', 'mlp.experts.e_score_correction_bias', 'moe_routed_scaling_factor', 0),
    softcapKeys: ['moe_router_logit_softcapping'],
  },
  refuses: [{ key: 'moe_apply_router_weight_on_input', reason: 'gates on the expert input are not described' }],
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_expert'),
  decoder: blockOnly('its attention is gated, with heads that differ by layer', postAttentionNorm),
};

/** Text model of MiniMax-M3: M2's router with a scale, gpt-oss' activation, a shared expert. */
export const minimaxM3: FamilyRecord = {
  name: 'minimax_m3_vl',
  title: 'MiniMax-M3',
  modelTypes: ['minimax_m3_vl_text', 'minimax_m3_vl'],
  architectures: ['MiniMaxM3SparseForConditionalGeneration'],
  defaults: { num_local_experts: 128, num_experts_per_tok: 4, routed_scaling_factor: 2 },
  router: router(
    'block_sparse_moe.gate.weight',
    'block_sparse_moe.e_score_correction_bias',
    'routed_scaling_factor',
    0,
  ),
  experts: [experts.numbered('block_sparse_moe')],
  activation: {
    kind: 'clamped-swiglu',
    alpha: { key: 'swiglu_alpha', absent: 1.702 },
    limit: { key: 'swiglu_limit', absent: 7 },
  },
  shared: sharedNetwork('block_sparse_moe.shared_experts'),
  decoder: blockOnly('its sparse attention chooses blocks of keys with an indexer', {
    ...postAttentionNorm,
    offset: 1,
  }),
};

/** Step-3.5 and 3.7 (StepFun, 2026): one tensor per projection, limits of the activation by layer. */
export const step3p5: FamilyRecord = {
  name: 'step3p5',
  title: 'Step-3.5 / 3.7',
  modelTypes: ['step3p5', 'step3p7'],
  architectures: ['Step3p5ForCausalLM', 'Step3p7ForConditionalGeneration'],
  defaults: { n_routed_experts: 288, num_experts_per_tok: 8, rms_norm_eps: 1e-5 },
  router: router('moe.gate.weight', 'moe.router_bias', 'moe_router_scaling_factor', 0),
  experts: [
    { layout: 'stacked', gate: 'moe.gate_proj.weight', up: 'moe.up_proj.weight', down: 'moe.down_proj.weight' },
  ],
  activation: { kind: 'limited', limitsKey: 'swiglu_limits' },
  shared: { ...sharedNetwork('share_expert'), activation: { kind: 'limited', limitsKey: 'swiglu_limits_shared' } },
  decoder: blockOnly('its attention is gated, with heads that differ by layer', {
    name: 'post_attention_layernorm',
    offset: 1,
  }),
};
