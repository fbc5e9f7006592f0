import type { FamilyRecord } from '../familyRecord';
import { experts, siluByConfig, standardDecoder } from '../stems';

/** MiniCPM-MoE-8x2B (arXiv 2404.06395): the MoE members of a family of dense models. */
export const minicpmMoe: FamilyRecord = {
  name: 'minicpm',
  title: 'MiniCPM-MoE',
  modelTypes: ['minicpm'],
  architectures: ['MiniCPMForCausalLM'],
  requires: 'num_experts',
  router: { weight: 'mlp.gate.weight', score: 'softmax', gates: { kind: 'sum', epsilon: 0 } },
  experts: [experts.numbered('mlp')],
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    tiedHeadAbsent: true,
    embeddingMultiplierKeys: ['scale_emb'],
    residualMultiplier: { keys: ['scale_depth'], overRootOfLayers: true },
    logits: { kind: 'hidden-over-base', keys: ['dim_model_base'] },
  },
};
