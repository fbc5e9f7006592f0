import type { FamilyRecord } from '../familyRecord';
import { standardAttention, standardDecoder, blockOnly, postAttentionNorm, textOnly } from '../stems';
import { deepseekV3, latentDecoder } from './deepseekV3';
import { glm4Moe } from './glm4Moe';

/** Text model of GLM-4.5V: GLM-4.5 without query and key norms; text alone has plain positions. */
export const glm4vMoe: FamilyRecord = {
  ...glm4Moe,
  name: 'glm4v_moe',
  title: 'GLM-4V-MoE',
  modelTypes: ['glm4v_moe_text', 'glm4v_moe'],
  architectures: ['Glm4vMoeForConditionalGeneration'],
  warnings: [textOnly],
  decoder: {
    ...standardDecoder,
    mixer: { ...standardAttention, rotary: { pairing: 'half', defaultTheta: 10000, defaultPartial: 0.5 } },
    defaultEpsilon: 1e-5,
  },
};

/** GLM-4.7-Flash: the blocks of GLM-4.5 under the latent attention of DeepSeek-V3. */
export const glm4MoeLite: FamilyRecord = {
  ...deepseekV3,
  name: 'glm4_moe_lite',
  title: 'GLM-4-MoE-lite',
  modelTypes: ['glm4_moe_lite'],
  architectures: ['Glm4MoeLiteForCausalLM'],
  defaults: {
    n_routed_experts: 64,
    num_experts_per_tok: 4,
    routed_scaling_factor: 1.8,
    q_lora_rank: 768,
    kv_lora_rank: 512,
    qk_rope_head_dim: 64,
    qk_nope_head_dim: 192,
    v_head_dim: 256,
  },
  decoder: { ...latentDecoder, defaultEpsilon: 1e-5 },
};

/** GLM-5: the same blocks under sparse attention. */
export const glmMoeDsa: FamilyRecord = {
  ...glm4Moe,
  name: 'glm_moe_dsa',
  title: 'GLM-MoE-DSA',
  modelTypes: ['glm_moe_dsa'],
  architectures: ['GlmMoeDsaForCausalLM'],
  defaults: { n_routed_experts: 256, num_experts_per_tok: 8, routed_scaling_factor: 2.5, rms_norm_eps: 1e-5 },
  decoder: blockOnly('its attention chooses keys with an indexer', postAttentionNorm),
};
