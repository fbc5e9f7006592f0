import { dbrx } from './families/dbrx';
import { deepseek } from './families/deepseek';
import { ernie45 } from './families/ernie45';
import { gptOss } from './families/gptOss';
import { graniteMoe } from './families/graniteMoe';
import { hunyuanV1 } from './families/hunyuanV1';
import { lfm2 } from './families/lfm2';
import { llama4 } from './families/llama4';
import { miniCpm } from './families/miniCpm';
import { mixtral } from './families/mixtral';
import { olmo } from './families/olmo';
import { phiMoe } from './families/phiMoe';
import { qwen } from './families/qwen';
import { siblings } from './families/siblings';
import { sigmoidRouted } from './families/sigmoidRouted';
import type { TinyCheckpoint } from './tinyCheckpoint';

/** A random checkpoint for every family and every variant that the goldens do not cover. */
export const tinyCheckpoints: readonly TinyCheckpoint[] = [
  ...mixtral,
  ...olmo,
  ...qwen,
  ...deepseek,
  ...sigmoidRouted,
  ...phiMoe,
  ...graniteMoe,
  ...gptOss,
  ...llama4,
  ...ernie45,
  ...hunyuanV1,
  ...lfm2,
  ...miniCpm,
  ...dbrx,
  ...siblings,
];
