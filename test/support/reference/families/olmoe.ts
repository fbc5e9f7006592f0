import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { separateOrStackedExperts } from '../experts';
import type { MoeBlock } from '../moeBlock';
import { softmaxRouter } from '../router';
import { assembleModel, headRope, hiddenActivation, preNorms, queryKeyNorms, standardAttention } from './parts';

/** OLMoE: norms over the whole query and key projections, optional clamp, softmax router. */
export function buildOlmoe(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4);
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: standardAttention(checkpoint, index, rope, {
      queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'projection' }),
      clip: config.optionalNumber('clip_qkv'),
    }),
    feedForward: softmaxMixture(checkpoint, index),
  }));
}

/** The block of the OLMo and Qwen families: `mlp.gate`, separate experts, division only when the file asks for it. */
export function softmaxMixture(checkpoint: ReferenceCheckpoint, index: number): MoeBlock {
  const { config } = checkpoint;
  const prefix = `${checkpoint.layer(index)}.mlp`;
  return {
    gate: checkpoint.linear(`${prefix}.gate`),
    router: softmaxRouter({ normOrder: config.flag('norm_topk_prob', false) ? 1 : undefined }),
    experts: separateOrStackedExperts(
      checkpoint,
      `${prefix}.experts`,
      config.firstNumber(['num_experts', 'num_local_experts']),
      hiddenActivation(checkpoint),
    ),
    activeExperts: config.number('num_experts_per_tok'),
    weightsApplyTo: 'output',
  };
}
