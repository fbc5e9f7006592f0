import type { FamilyRecord } from '../familyRecord';
import { blockOnly, postAttentionNorm, softmaxRouter, standardDecoder } from '../stems';
import { deepseekV2 } from './deepseekV2';
import { deepseekV3 } from './deepseekV3';

/** DeepSeekMoE 16B (arXiv 2401.06066): plain attention; its own code reads `norm_topk_prob`. */
export const deepseekV1: FamilyRecord = {
  ...deepseekV2,
  name: 'deepseek',
  title: 'DeepSeekMoE',
  modelTypes: ['deepseek'],
  architectures: ['DeepseekForCausalLM'],
  router: softmaxRouter,
  decoder: standardDecoder,
};

/** DeepSeek-V3.2: the blocks of V3 under sparse attention. */
export const deepseekV32: FamilyRecord = {
  ...deepseekV3,
  name: 'deepseek_v32',
  title: 'DeepSeek-V3.2',
  modelTypes: ['deepseek_v32'],
  architectures: ['DeepseekV32ForCausalLM'],
  decoder: blockOnly('its attention chooses keys with an indexer', postAttentionNorm),
};

/** A.X-K1 (SK Telecom, 2026): the blocks of DeepSeek-V3, whose output its layers normalise once more. */
export const axk1: FamilyRecord = {
  ...deepseekV3,
  name: 'axk1',
  title: 'A.X-K1',
  modelTypes: ['axk1'],
  architectures: ['AXK1ForCausalLM'],
  defaults: { ...deepseekV3.defaults, n_routed_experts: 192 },
  decoder: blockOnly('its layers normalise the output of the experts', postAttentionNorm),
};

/** Mistral 4 (text): softmax over all experts, groups by their two best, stacked experts. */
export const mistral4: FamilyRecord = {
  ...deepseekV3,
  name: 'mistral4',
  title: 'Mistral 4',
  modelTypes: ['mistral4'],
  architectures: ['Mistral4ForCausalLM'],
  defaults: { n_routed_experts: 128, num_experts_per_tok: 4 },
  router: {
    weight: 'mlp.gate.weight',
    score: 'softmax',
    groups: { countKeys: ['n_group'], keptKeys: ['topk_group'], score: 'top2-sum', fill: 'zero' },
    gates: { kind: 'sum', epsilon: 1e-20, when: { keys: ['norm_topk_prob'], absent: true } },
    scaleKeys: ['routed_scaling_factor'],
  },
  experts: [
    {
      layout: 'fused',
      gateUp: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      arrangement: 'concatenated',
      orientation: 'output-major',
    },
    ...deepseekV3.experts,
  ],
  decoder: blockOnly('its attention scales queries by position', postAttentionNorm),
};

/** openPangu Ultra MoE (arXiv 2505.04519): sigmoid scores without groups, a selection bias in some releases. */
export const openPangu: FamilyRecord = {
  ...deepseekV3,
  name: 'pangu_ultra_moe',
  title: 'openPangu Ultra MoE',
  modelTypes: ['pangu_ultra_moe'],
  architectures: ['PanguUltraMoEForCausalLM', 'PanguProMoEV2ForCausalLM'],
  defaults: {},
  router: {
    weight: 'mlp.gate.weight',
    selectionBias: 'mlp.gate.e_score_correction_bias',
    selectionBiasOptional: true,
    score: 'sigmoid',
    gates: { kind: 'sum', epsilon: 1e-20, when: { keys: ['norm_topk_prob'], absent: true } },
    scaleKeys: ['routed_scaling_factor'],
  },
  decoder: blockOnly('its layers have norms after both branches', { name: 'pre_mlp_layernorm' }),
};
