import type { FamilyRecord } from '../familyRecord';
import { experts, sharedNetwork, siluByConfig, softmaxRouter, standardDecoder } from '../stems';

/** DeepSeek-V2 and V2-Lite (arXiv 2405.04434): `norm_topk_prob` is not read by the reference implementation. */
export const deepseekV2: FamilyRecord = {
  name: 'deepseek_v2',
  title: 'DeepSeek-V2',
  modelTypes: ['deepseek_v2'],
  architectures: ['DeepseekV2ForCausalLM'],
  // The full DeepSeek-VL2 states its language model like this.
  refuses: [{ key: 'topk_method', equals: 'noaux_tc', reason: 'its router is that of DeepSeek-V3' }],
  defaults: {
    n_routed_experts: 64,
    q_lora_rank: 1536,
    kv_lora_rank: 512,
    qk_rope_head_dim: 64,
    qk_nope_head_dim: 128,
    v_head_dim: 128,
  },
  router: {
    ...softmaxRouter,
    groups: {
      countKeys: ['n_group'],
      keptKeys: ['topk_group'],
      score: 'max',
      fill: 'zero',
      when: { key: 'topk_method', equals: 'group_limited_greedy' },
    },
    gates: { kind: 'score' },
    scaleKeys: ['routed_scaling_factor'],
  },
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: {
    ...standardDecoder,
    mixer: { kind: 'latent', rotary: { pairing: 'interleaved', defaultTheta: 10000 } },
  },
};
