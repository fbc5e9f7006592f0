import type { FamilyRecord } from '../familyRecord';
import { blockOnly, experts, siluByConfig } from '../stems';

/** Jamba (arXiv 2403.19887): softmax over all experts, never renormalised; a single expert is a dense layer. */
export const jamba: FamilyRecord = {
  name: 'jamba',
  title: 'Jamba',
  modelTypes: ['jamba'],
  architectures: ['JambaForCausalLM'],
  tensors: { finalNorm: 'final_layernorm' },
  defaults: { num_experts: 16, num_experts_per_tok: 2 },
  router: { weight: 'feed_forward.router.weight', score: 'softmax', gates: { kind: 'score' } },
  experts: experts.projectionsOrFused('feed_forward'),
  activation: siluByConfig,
  decoder: blockOnly('its Mamba layers are not implemented', { name: 'pre_ff_layernorm' }),
};
