import type { FamilyRecord } from '../familyRecord';
import { experts, siluByConfig, standardAttention, standardDecoder } from '../stems';

/** Mixtral (arXiv 2401.04088). */
export const mixtral: FamilyRecord = {
  name: 'mixtral',
  title: 'Mixtral',
  modelTypes: ['mixtral'],
  architectures: ['MixtralForCausalLM'],
  router: { weight: 'block_sparse_moe.gate.weight', score: 'softmax', gates: { kind: 'sum', epsilon: 0 } },
  experts: [experts.numbered('block_sparse_moe')],
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
