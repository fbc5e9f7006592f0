import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { biasedRouter, type Router } from '../router';
import { deepseekAttention, deepseekFeedForward } from './deepseekV2';
import { assembleModel, preNorms } from './parts';

/** DeepSeek-V3, R1 and Kimi-K2: latent attention; sigmoid router with a bias for the choice and group limits. */
export function buildDeepseekV3(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const pairs = checkpoint.config.flag('rope_interleave', true) ? 'interleaved' : 'half';
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: deepseekAttention(checkpoint, index, length, pairs),
    feedForward: deepseekFeedForward(checkpoint, index, (prefix) => groupLimitedSigmoidRouter(checkpoint, prefix)),
  }));
}

/** The router that DeepSeek-V3, GLM-4 and Dots1 share; `renormalizeByDefault` is their class default. */
export function groupLimitedSigmoidRouter(
  checkpoint: ReferenceCheckpoint,
  prefix: string,
  renormalizeByDefault = true,
): Router {
  const { config } = checkpoint;
  return biasedRouter({
    score: 'sigmoid',
    bias: checkpoint.tensor(`${prefix}.gate.e_score_correction_bias`).data,
    groups: { count: config.number('n_group', 1), kept: config.number('topk_group', 1) },
    divide: config.flag('norm_topk_prob', renormalizeByDefault) ? { by: 'sumPlus', epsilon: 1e-20 } : undefined,
    scale: config.number('routed_scaling_factor', 1),
  });
}
