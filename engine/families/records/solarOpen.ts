import type { FamilyRecord } from '../familyRecord';
import {
  blockOnly,
  experts,
  perHeadNorm,
  postAttentionNorm,
  sharedNetwork,
  sigmoidGroupRouter,
  siluByConfig,
  standardAttention,
  standardDecoder,
} from '../stems';

/** Families with DeepSeek-V3's router over grouped-query attention; they differ in attention and one tensor name. */
const common = {
  router: sigmoidGroupRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
} as const satisfies Partial<FamilyRecord>;

/** Solar Open (Upstage, 2025). */
export const solarOpen: FamilyRecord = {
  ...common,
  name: 'solar_open',
  title: 'Solar Open',
  modelTypes: ['solar_open'],
  architectures: ['SolarOpenForCausalLM'],
  defaults: { n_routed_experts: 128, num_experts_per_tok: 8, num_key_value_heads: 8, head_dim: 128 },
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, rotary: { pairing: 'half', defaultTheta: 1e6 } },
    defaultEpsilon: 1e-5,
  },
};

/** K-EXAONE (LG AI Research, 2025): three sliding layers with rotary embedding, then a full one without. */
export const exaoneMoe: FamilyRecord = {
  ...common,
  name: 'exaone_moe',
  title: 'EXAONE-MoE',
  modelTypes: ['exaone_moe'],
  architectures: ['ExaoneMoeForCausalLM', 'ExaoneMoEForCausalLM'],
  defaults: {
    num_experts: 64,
    num_experts_per_tok: 8,
    num_key_value_heads: 32,
    routed_scaling_factor: 2.5,
    sliding_window: 4096,
    sliding_window_pattern: 4,
  },
  router: { ...sigmoidGroupRouter, selectionBias: 'mlp.e_score_correction_bias' },
  inMemory: { router: sigmoidGroupRouter, experts: common.experts },
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: perHeadNorm,
      mask: { rule: 'layer-types', absent: 'pattern' },
      rotary: { pairing: 'half', defaultTheta: 10000, onlySlidingLayers: true },
    },
    defaultEpsilon: 1e-5,
  },
};

/** MiMo-V2-Flash (Xiaomi, 2025): no shared expert; heads of keys and values differ in size. */
export const mimoV2Flash: FamilyRecord = {
  name: 'mimo_v2_flash',
  title: 'MiMo-V2-Flash',
  modelTypes: ['mimo_v2_flash'],
  architectures: ['MiMoV2FlashForCausalLM'],
  defaults: { n_routed_experts: 256, num_experts_per_tok: 8, rms_norm_eps: 1e-5 },
  router: sigmoidGroupRouter,
  experts: common.experts,
  activation: siluByConfig,
  decoder: blockOnly('its keys and values have heads of different sizes', postAttentionNorm),
};
