import type { FamilyRecord } from '../familyRecord';
import { blockOnly, sigmoidGroupRouter } from '../stems';

/** Nemotron-H with experts (Nemotron 3 Nano, arXiv 2512.20848): layers of one kind each, ungated experts. */
export const nemotronH: FamilyRecord = {
  name: 'nemotron_h',
  title: 'Nemotron-H',
  modelTypes: ['nemotron_h'],
  architectures: ['NemotronHForCausalLM'],
  refuses: [
    { key: 'moe_latent_size', reason: 'its experts work on a projection of the hidden state' },
    { key: 'block_configs', reason: 'its layers have different numbers of experts' },
  ],
  keys: { normEpsilon: ['layer_norm_epsilon', 'norm_eps', 'rms_norm_eps'] },
  defaults: { n_routed_experts: 8, num_experts_per_tok: 2, layer_norm_epsilon: 1e-5 },
  tensors: {
    roots: [
      { root: 'backbone.', head: 'lm_head' },
      { root: 'model.', head: 'lm_head' },
    ],
    embedding: 'embeddings.weight',
    finalNorm: 'norm_f',
  },
  router: {
    ...sigmoidGroupRouter,
    weight: 'mixer.gate.weight',
    selectionBias: 'mixer.gate.e_score_correction_bias',
  },
  experts: [
    { layout: 'separate-ungated', up: 'mixer.experts.{expert}.up_proj', down: 'mixer.experts.{expert}.down_proj' },
  ],
  activation: { kind: 'named', keys: ['mlp_hidden_act'], absent: 'relu2' },
  shared: {
    network: { layout: 'ungated', up: 'mixer.shared_experts.up_proj', down: 'mixer.shared_experts.down_proj' },
  },
  decoder: blockOnly('its Mamba-2 layers are not implemented', { name: 'norm' }),
};
