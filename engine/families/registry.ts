import type { FamilyRecord } from './familyRecord';
import { dbrx } from './records/dbrx';
import { deepseekV2 } from './records/deepseekV2';
import { deepseekV3 } from './records/deepseekV3';
import { dots1 } from './records/dots1';
import { ernie45Moe } from './records/ernie45Moe';
import { flexOlmo } from './records/flexOlmo';
import { glm4Moe } from './records/glm4Moe';
import { gptOss } from './records/gptOss';
import { graniteMoe, graniteMoeHybrid, graniteMoeShared } from './records/graniteMoe';
import { hunyuanV1Moe } from './records/hunyuanV1Moe';
import { lfm2Moe } from './records/lfm2Moe';
import { llama4 } from './records/llama4';
import { minicpmMoe } from './records/minicpmMoe';
import { minimaxM2 } from './records/minimaxM2';
import { mixtral } from './records/mixtral';
import { olmoe } from './records/olmoe';
import { phimoe } from './records/phimoe';
import { qwen2Moe } from './records/qwen2Moe';
import { qwen3Moe } from './records/qwen3Moe';

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
];
