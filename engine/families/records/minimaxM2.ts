import type { FamilyRecord } from '../familyRecord';
import { experts, projectionNorm, siluByConfig, standardAttention, standardDecoder } from '../stems';

/** MiniMax-M2 (2025): sigmoid router with a selection bias at block level, no shared expert. */
export const minimaxM2: FamilyRecord = {
  name: 'minimax_m2',
  title: 'MiniMax-M2',
  modelTypes: ['minimax_m2'],
  architectures: ['MiniMaxM2ForCausalLM'],
  router: {
    weight: 'block_sparse_moe.gate.weight',
    selectionBias: 'block_sparse_moe.e_score_correction_bias',
    score: 'sigmoid',
    gates: { kind: 'sum', epsilon: 0 },
  },
  experts: [experts.numbered('block_sparse_moe')],
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: projectionNorm,
      rotary: { pairing: 'half', defaultTheta: 5e6, dimensionKeys: ['rotary_dim'] },
    },
  },
};
