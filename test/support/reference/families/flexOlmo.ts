import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { softmaxMixture } from './olmoe';
import { assembleModel, headRope, namedNorm, queryKeyNorms, standardAttention } from './parts';

/** FlexOlmo: as OLMoE, but the norms stand behind the sub-layers and nothing is normalized before them. */
export function buildFlexOlmo(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const rope = headRope(checkpoint, length, 5e5);
  return assembleModel(checkpoint, (index) => ({
    mixer: standardAttention(checkpoint, index, rope, {
      queryKeyNorm: queryKeyNorms(checkpoint, index, checkpoint.config.number('rms_norm_eps'), { over: 'projection' }),
    }),
    mixerOutputNorm: namedNorm(checkpoint, `${checkpoint.layer(index)}.post_attention_layernorm`),
    feedForward: softmaxMixture(checkpoint, index),
    feedForwardOutputNorm: namedNorm(checkpoint, `${checkpoint.layer(index)}.post_feedforward_layernorm`),
  }));
}
