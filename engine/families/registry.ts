import type { FamilyRecord } from './familyRecord';
import { aria } from './records/aria';
import { bailingMoe, bailingMoeV2 } from './records/bailing';
import { cohere2Moe } from './records/cohere2Moe';
import { dbrx } from './records/dbrx';
import { axk1, deepseekV1, deepseekV32, mistral4, openPangu } from './records/deepseekSiblings';
import { deepseekV2 } from './records/deepseekV2';
import { deepseekV3 } from './records/deepseekV3';
import { dots1 } from './records/dots1';
import { ernie45Moe } from './records/ernie45Moe';
import { flexOlmo } from './records/flexOlmo';
import { glm4Moe } from './records/glm4Moe';
import { glm4MoeLite, glm4vMoe, glmMoeDsa } from './records/glm4MoeSiblings';
import { gptOss } from './records/gptOss';
import { graniteMoe, graniteMoeHybrid, graniteMoeShared } from './records/graniteMoe';
import { hunyuanV1Moe } from './records/hunyuanV1Moe';
import { jamba } from './records/jamba';
import { jetmoe } from './records/jetmoe';
import { kimiLinear } from './records/kimiLinear';
import { lfm2Moe } from './records/lfm2Moe';
import { llama4 } from './records/llama4';
import { lladaMoe, mellum, rnd1 } from './records/mellum';
import { minicpmMoe } from './records/minicpmMoe';
import { minimax01 } from './records/minimax01';
import { minimaxM2 } from './records/minimaxM2';
import { mixtral } from './records/mixtral';
import { nemotronH } from './records/nemotronH';
import { olmoe } from './records/olmoe';
import { phimoe } from './records/phimoe';
import { qwen2Moe } from './records/qwen2Moe';
import { qwen3Moe } from './records/qwen3Moe';
import { qwen3OmniMoe, qwen3VlMoe } from './records/qwen3Multimodal';
import { qwen35Moe, qwen3Next } from './records/qwen3Next';
import { afmoe, hunyuanV3, laguna, minimaxM3, step3p5 } from './records/sigmoidBias';
import { exaoneMoe, mimoV2Flash, solarOpen } from './records/solarOpen';

/** Every model family the engine knows. Adding one is one record and one test. */
export const families: readonly FamilyRecord[] = [
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
  flexOlmo,
  deepseekV2,
  deepseekV3,
  glm4Moe,
  dots1,
  phimoe,
  gptOss,
  graniteMoe,
  graniteMoeShared,
  graniteMoeHybrid,
  llama4,
  ernie45Moe,
  hunyuanV1Moe,
  lfm2Moe,
  minimaxM2,
  minicpmMoe,
  dbrx,
  axk1,
  deepseekV1,
  deepseekV32,
  mistral4,
  openPangu,
  glm4vMoe,
  glm4MoeLite,
  glmMoeDsa,
  qwen3Next,
  qwen35Moe,
  qwen3VlMoe,
  qwen3OmniMoe,
  solarOpen,
  exaoneMoe,
  mimoV2Flash,
  hunyuanV3,
  afmoe,
  laguna,
  minimaxM3,
  step3p5,
  bailingMoe,
  bailingMoeV2,
  nemotronH,
  jamba,
  jetmoe,
  minimax01,
  kimiLinear,
  mellum,
  lladaMoe,
  rnd1,
  aria,
  cohere2Moe,
];
