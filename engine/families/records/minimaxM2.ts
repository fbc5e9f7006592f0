import type { FamilyRecord, RouterRecord } from '../familyRecord';
import { experts, projectionNorm, siluByConfig, standardAttention, standardDecoder } from '../stems';

const router: RouterRecord = {
  weight: 'block_sparse_moe.gate.weight',
  selectionBias: 'block_sparse_moe.e_score_correction_bias',
  score: 'sigmoid',
  gates: { kind: 'sum', epsilon: 0 },
};

/** MiniMax-M2 (2025): sigmoid router with a selection bias at block level, no shared expert. */
export const minimaxM2: FamilyRecord = {
  name: 'minimax_m2',
  title: 'MiniMax-M2',
  modelTypes: ['minimax_m2'],
  architectures: ['MiniMaxM2ForCausalLM'],
  defaults: { num_local_experts: 256, num_experts_per_tok: 8, num_key_value_heads: 8, head_dim: 128 },
  router,
  experts: [experts.numbered('block_sparse_moe')],
  inMemory: {
    router: { ...router, weight: 'mlp.gate.weight', selectionBias: 'mlp.e_score_correction_bias' },
    experts: [experts.fused('mlp', 'output-major')],
  },
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
