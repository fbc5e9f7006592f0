import type { FamilyRecord, RouterRecord } from '../familyRecord';
import { experts, siluByConfig, standardAttention, standardDecoder } from '../stems';

const router: RouterRecord = {
  weight: 'block_sparse_moe.gate.weight',
  score: 'softmax',
  gates: { kind: 'score' },
  sparseMixer: { thresholdKeys: ['router_jitter_noise'], absent: 0.01 },
};

/** Phi-3.5-MoE (arXiv 2404.14219) with SparseMixer-v2 routing (arXiv 2409.12136). */
export const phimoe: FamilyRecord = {
  name: 'phimoe',
  title: 'Phi-3.5-MoE',
  modelTypes: ['phimoe'],
  architectures: ['PhiMoEForCausalLM', 'PhimoeForCausalLM'],
  defaults: { num_local_experts: 16, num_experts_per_tok: 2, num_key_value_heads: 8 },
  router,
  experts: [experts.numbered('block_sparse_moe')],
  inMemory: { router: { ...router, weight: 'mlp.router.weight' }, experts: [experts.fused('mlp', 'output-major')] },
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      mask: { rule: 'window' },
      rotary: { pairing: 'half', defaultTheta: 1e6, longFactorsUnused: true },
    },
    norms: { kind: 'layer', mixer: 'input_layernorm', feedForward: 'post_attention_layernorm', placement: 'pre' },
    defaultEpsilon: 1e-5,
  },
};
