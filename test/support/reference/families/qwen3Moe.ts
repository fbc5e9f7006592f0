import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { softmaxMixture } from './olmoe';
import {
  assembleModel,
  denseNetwork,
  headRope,
  preNorms,
  queryKeyNorms,
  standardAttention,
  visibilityOfWindow,
} from './parts';
import { isSparseStep } from './qwen2Moe';

/** Qwen3-MoE: norms of each query and key head, no shared expert. */
export function buildQwen3Moe(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4);
  const window = config.flag('use_sliding_window', false) ? config.number('sliding_window') : undefined;
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: standardAttention(checkpoint, index, rope, {
      queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'head' }),
      visible: visibilityOfWindow(window),
    }),
    feedForward: isSparseStep(config, index)
      ? softmaxMixture(checkpoint, index)
      : denseNetwork(checkpoint, `${checkpoint.layer(index)}.mlp`),
  }));
}
