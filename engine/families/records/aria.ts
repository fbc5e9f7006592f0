import type { FamilyRecord } from '../familyRecord';
import { blockOnly, postAttentionNorm, sharedNetwork } from '../stems';

/** Text model of Aria (arXiv 2410.05993): top-k logits, then softmax; experts fused and input-major. */
export const aria: FamilyRecord = {
  name: 'aria_text',
  title: 'Aria',
  modelTypes: ['aria_text', 'aria', 'aria_moe_lm'],
  architectures: ['AriaForConditionalGeneration', 'AriaTextForCausalLM'],
  defaults: { moe_num_experts: 8, moe_topk: 2 },
  router: { weight: 'mlp.router.weight', score: 'logits', gates: { kind: 'softmax-chosen' } },
  experts: [
    {
      layout: 'fused',
      gateUp: 'mlp.experts.fc1.weight',
      down: 'mlp.experts.fc2.weight',
      arrangement: 'concatenated',
      orientation: 'input-major',
    },
  ],
  activation: { kind: 'fixed', activation: { kind: 'silu-gated' } },
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: blockOnly('it has not been verified with text alone', postAttentionNorm),
};
