import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { deepseekFeedForward } from './deepseekV2';
import { groupLimitedSigmoidRouter } from './deepseekV3';
import { assembleModel, headRope, preNorms, queryKeyNorms, standardAttention } from './parts';

/** GLM-4.5 and 4.6: grouped-query attention with half of each head rotated, optional head norms, DeepSeek-V3 router. */
export function buildGlm4(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4, { partialRotaryFactor: 0.5 });
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: standardAttention(checkpoint, index, rope, {
      queryKeyNorm: config.flag('use_qk_norm', false)
        ? queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'head' })
        : undefined,
    }),
    feedForward: deepseekFeedForward(checkpoint, index, (prefix) => groupLimitedSigmoidRouter(checkpoint, prefix)),
  }));
}
