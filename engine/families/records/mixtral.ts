import type { FamilyRecord, RouterRecord } from '../familyRecord';
import { experts, siluByConfig, standardAttention, standardDecoder } from '../stems';

const router: RouterRecord = {
  weight: 'block_sparse_moe.gate.weight',
  score: 'softmax',
  gates: { kind: 'sum', epsilon: 0 },
};

/** Mixtral (arXiv 2401.04088). */
export const mixtral: FamilyRecord = {
  name: 'mixtral',
  title: 'Mixtral',
  modelTypes: ['mixtral'],
  architectures: ['MixtralForCausalLM'],
  defaults: { num_local_experts: 8, num_experts_per_tok: 2, num_key_value_heads: 8 },
  router,
  experts: [experts.numbered('block_sparse_moe')],
  inMemory: { router: { ...router, weight: 'mlp.gate.weight' }, experts: [experts.fused('mlp', 'output-major')] },
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      mask: { rule: 'window' },
      rotary: { pairing: 'half', defaultTheta: 1e6 },
    },
    defaultEpsilon: 1e-5,
  },
};
