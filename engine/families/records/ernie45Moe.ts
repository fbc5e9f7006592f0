import type { FamilyRecord } from '../familyRecord';
import { experts, sharedNetwork, siluByConfig, standardAttention, standardDecoder } from '../stems';

/** ERNIE 4.5 MoE (Baidu, 2025): softmax with a selection bias, sum clamped from below. */
export const ernie45Moe: FamilyRecord = {
  name: 'ernie4_5_moe',
  title: 'ERNIE 4.5 MoE',
  modelTypes: ['ernie4_5_moe'],
  architectures: ['Ernie4_5_MoeForCausalLM'],
  router: {
    weight: 'mlp.gate.weight',
    selectionBias: 'mlp.moe_statics.e_score_correction_bias',
    score: 'softmax',
    gates: { kind: 'clamped-sum', minimumKeys: ['moe_norm_min'], absent: 1e-12 },
  },
  experts: [experts.projections('mlp')],
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, rotary: { pairing: 'interleaved', defaultTheta: 500000 } },
    defaultEpsilon: 1e-5,
    tiedHeadAbsent: true,
  },
};
