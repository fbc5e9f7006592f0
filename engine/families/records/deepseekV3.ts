import type { DecoderRecord, FamilyRecord } from '../familyRecord';
import { experts, sharedNetwork, sigmoidGroupRouter, siluByConfig, standardDecoder } from '../stems';

/** Latent attention whose configs may say that rotated pairs are halves. */
export const latentDecoder: DecoderRecord = {
  ...standardDecoder,
  mixer: {
    kind: 'latent',
    rotary: {
      pairing: 'interleaved',
      interleavedWhen: { keys: ['rope_interleave'], absent: true },
      defaultTheta: 10000,
    },
  },
};

/** DeepSeek-V3 and R1 (arXiv 2412.19437), Kimi-K2 (arXiv 2507.20534). */
export const deepseekV3: FamilyRecord = {
  name: 'deepseek_v3',
  title: 'DeepSeek-V3 / Kimi-K2',
  modelTypes: ['deepseek_v3', 'kimi_k2'],
  architectures: ['DeepseekV3ForCausalLM'],
  defaults: {
    n_routed_experts: 256,
    num_experts_per_tok: 8,
    n_group: 8,
    topk_group: 4,
    routed_scaling_factor: 2.5,
    q_lora_rank: 1536,
    kv_lora_rank: 512,
    qk_rope_head_dim: 64,
    qk_nope_head_dim: 128,
    v_head_dim: 128,
  },
  router: sigmoidGroupRouter,
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: latentDecoder,
};
