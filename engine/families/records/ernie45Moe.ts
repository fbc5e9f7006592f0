import type { FamilyRecord, RouterRecord } from '../familyRecord';
import { experts, sharedNetwork, siluByConfig, standardAttention, standardDecoder } from '../stems';

const router: RouterRecord = {
  weight: 'mlp.gate.weight',
  selectionBias: 'mlp.moe_statics.e_score_correction_bias',
  score: 'softmax',
  gates: { kind: 'clamped-sum', minimumKeys: ['moe_norm_min'], absent: 1e-12 },
};

const layouts = experts.projectionsOrFused('mlp');

/** ERNIE 4.5 MoE (Baidu, 2025): softmax with a selection bias, sum clamped from below. */
export const ernie45Moe: FamilyRecord = {
  name: 'ernie4_5_moe',
  title: 'ERNIE 4.5 MoE',
  modelTypes: ['ernie4_5_moe'],
  architectures: ['Ernie4_5_MoeForCausalLM'],
  defaults: { moe_num_experts: 64, moe_k: 6, num_key_value_heads: 4 },
  router,
  experts: layouts,
  inMemory: {
    router: { ...router, selectionBias: 'mlp.gate.moe_statics.e_score_correction_bias' },
    experts: layouts,
  },
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, rotary: { pairing: 'interleaved', defaultTheta: 500000 } },
    defaultEpsilon: 1e-5,
    tiedHeadAbsent: true,
  },
};
