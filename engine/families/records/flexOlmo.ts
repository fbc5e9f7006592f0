import type { FamilyRecord } from '../familyRecord';
import { experts, projectionNorm, siluByConfig, softmaxRouter, standardAttention, standardDecoder } from '../stems';

/** FlexOlmo (arXiv 2507.07024): OLMoE's router with the post-norm layers of OLMo 2. */
export const flexOlmo: FamilyRecord = {
  name: 'flex_olmo',
  title: 'FlexOlmo',
  modelTypes: ['flex_olmo'],
  architectures: ['FlexOlmoForCausalLM'],
  defaults: { num_experts: 7, num_experts_per_tok: 5 },
  router: softmaxRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, queryKeyNorm: projectionNorm, rotary: { pairing: 'half', defaultTheta: 500000 } },
    norms: {
      kind: 'rms',
      mixer: 'post_attention_layernorm',
      feedForward: 'post_feedforward_layernorm',
      placement: 'post',
    },
  },
};
