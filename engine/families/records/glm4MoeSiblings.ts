import type { FamilyRecord } from '../familyRecord';
import { standardAttention, standardDecoder, blockOnly, postAttentionNorm, textOnly } from '../stems';
import { deepseekV3 } from './deepseekV3';
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
};

/** GLM-5: the same blocks under sparse attention. */
export const glmMoeDsa: FamilyRecord = {
  ...glm4Moe,
  name: 'glm_moe_dsa',
  title: 'GLM-MoE-DSA',
  modelTypes: ['glm_moe_dsa'],
  architectures: ['GlmMoeDsaForCausalLM'],
  decoder: blockOnly('its attention chooses keys with an indexer', postAttentionNorm),
};
