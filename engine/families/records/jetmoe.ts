import type { FamilyRecord } from '../familyRecord';
import { blockOnly, postAttentionNorm } from '../stems';

/** JetMoE (arXiv 2404.07413): the experts of its feed-forward layers; its attention heads are experts too. */
export const jetmoe: FamilyRecord = {
  name: 'jetmoe',
  title: 'JetMoE',
  modelTypes: ['jetmoe'],
  architectures: ['JetMoeForCausalLM'],
  warnings: [
    'num_experts_per_tok also sets the number of attention heads: runtimes cannot change it for the experts alone.',
  ],
  defaults: { num_local_experts: 8, num_experts_per_tok: 2 },
  router: { weight: 'mlp.router.layer.weight', score: 'logits', gates: { kind: 'softmax-chosen' } },
  experts: [
    {
      layout: 'fused',
      gateUp: 'mlp.input_linear.weight',
      down: 'mlp.output_linear.weight',
      arrangement: 'concatenated',
      orientation: 'output-major',
    },
  ],
  activation: { kind: 'named', keys: ['activation_function'], absent: 'silu' },
  outputBias: 'mlp.bias',
  otherExperts: ['self_attention.experts.input_linear.weight', 'self_attention.experts.output_linear.weight'],
  decoder: blockOnly('its attention is a mixture of experts', postAttentionNorm),
};
