import type { ReferenceCheckpoint } from './checkpoint';
import type { DecoderModel } from './decoder';
import { buildDbrx } from './families/dbrx';
import { buildDeepseekV2 } from './families/deepseekV2';
import { buildDeepseekV3 } from './families/deepseekV3';
import { buildDots1 } from './families/dots1';
import { buildErnie45 } from './families/ernie45';
import { buildFlexOlmo } from './families/flexOlmo';
import { buildGlm4 } from './families/glm4';
import { buildGptOss } from './families/gptOss';
import { buildGraniteMoe } from './families/graniteMoe';
import { buildHunyuanV1 } from './families/hunyuanV1';
import { buildLfm2 } from './families/lfm2';
import { buildLlama4 } from './families/llama4';
import { buildMiniCpm } from './families/miniCpm';
import { buildMiniMaxM2 } from './families/miniMaxM2';
import { buildMixtral } from './families/mixtral';
import { buildOlmoe } from './families/olmoe';
import { buildPhiMoe } from './families/phiMoe';
import { buildQwen2Moe } from './families/qwen2Moe';
import { buildQwen3Moe } from './families/qwen3Moe';
import {
  buildDeepseekV1,
  buildExaoneMoe,
  buildGlm4v,
  buildHunyuanV3,
  buildMellum,
  buildQwen3Multimodal,
  buildSolarOpen,
} from './families/siblings';

/** Builds one family's model for sequences of up to `length` tokens. */
export type FamilyBuilder = (checkpoint: ReferenceCheckpoint, length: number) => DecoderModel;

/** By the `model_type` of the text configuration. */
export const familyBuilders: Readonly<Record<string, FamilyBuilder>> = {
  mixtral: buildMixtral,
  olmoe: buildOlmoe,
  flex_olmo: buildFlexOlmo,
  qwen2_moe: buildQwen2Moe,
  qwen3_moe: buildQwen3Moe,
  deepseek_v2: buildDeepseekV2,
  deepseek_v3: buildDeepseekV3,
  kimi_k2: buildDeepseekV3,
  glm4_moe: buildGlm4,
  dots1: buildDots1,
  phimoe: buildPhiMoe,
  granitemoe: buildGraniteMoe,
  granitemoeshared: buildGraniteMoe,
  gpt_oss: buildGptOss,
  llama4_text: buildLlama4,
  ernie4_5_moe: buildErnie45,
  hunyuan_v1_moe: buildHunyuanV1,
  lfm2_moe: buildLfm2,
  minimax_m2: buildMiniMaxM2,
  minicpm: buildMiniCpm,
  dbrx: buildDbrx,
  deepseek: buildDeepseekV1,
  solar_open: buildSolarOpen,
  exaone_moe: buildExaoneMoe,
  hy_v3: buildHunyuanV3,
  mellum: buildMellum,
  glm4_moe_lite: buildDeepseekV3,
  glm4v_moe_text: buildGlm4v,
  qwen3_vl_moe_text: buildQwen3Multimodal,
  qwen3_omni_moe_text: buildQwen3Multimodal,
};

export function buildModel(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const family = checkpoint.config.text('model_type');
  const build = familyBuilders[family];
  if (build === undefined) throw new Error(`The reference forward does not know the family ${family}.`);
  return build(checkpoint, length);
}
