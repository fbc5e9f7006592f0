import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { deepseekFeedForward } from './deepseekV2';
import { groupLimitedSigmoidRouter } from './deepseekV3';
import { assembleModel, headRope, preNorms, queryKeyNorms, standardAttention, visibilityOfType } from './parts';

/** Dots1: grouped-query attention with head norms, late layers may slide, DeepSeek-V3 router. */
export function buildDots1(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4);
  const layers = config.number('num_hidden_layers');
  const layerType = (index: number) =>
    config.optionalTexts('layer_types')?.[index] ??
    (config.has('sliding_window') && index >= config.number('max_window_layers', layers)
      ? 'sliding_attention'
      : 'full_attention');
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: standardAttention(checkpoint, index, rope, {
      queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'head' }),
      visible: visibilityOfType(checkpoint, layerType(index)),
    }),
    feedForward: deepseekFeedForward(checkpoint, index, (prefix) =>
      groupLimitedSigmoidRouter(checkpoint, prefix, false),
    ),
  }));
}
