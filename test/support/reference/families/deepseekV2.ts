import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderLayer, DecoderModel } from '../decoder';
import { separateExperts } from '../experts';
import type { Mixer } from '../attention';
import { latentAttention } from '../mla';
import { rmsNorm } from '../norms';
import { makeRope, readRopeParameters, yarnMagnitude, type Rope } from '../rope';
import { softmaxRouter, type Router } from '../router';
import { assembleModel, denseNetwork, hiddenActivation, preNorms } from './parts';

/** The norms inside latent attention keep this epsilon whatever the configuration says. */
const latentEpsilon = 1e-6;

/** DeepSeek-V2: latent attention; softmax over all experts, optionally limited to groups; shared experts. */
export function buildDeepseekV2(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const limited = config.text('topk_method', 'greedy') === 'group_limited_greedy';
  const router = softmaxRouter({
    scale: config.number('routed_scaling_factor', 1),
    groups: limited ? { count: config.number('n_group'), kept: config.number('topk_group') } : undefined,
  });
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: deepseekAttention(checkpoint, index, length, 'interleaved'),
    feedForward: deepseekFeedForward(checkpoint, index, () => router),
  }));
}

/** Latent attention under `<layer>.self_attn`, with the YaRN correction of the score scale. */
export function deepseekAttention(
  checkpoint: ReferenceCheckpoint,
  index: number,
  length: number,
  pairs: Rope['pairs'],
): Mixer {
  const { config } = checkpoint;
  const prefix = `${checkpoint.layer(index)}.self_attn`;
  const nopeWidth = config.number('qk_nope_head_dim');
  const ropeWidth = config.number('qk_rope_head_dim');
  const parameters = readRopeParameters(config, { theta: 1e4 });
  const allDimensions = parameters.section?.optionalNumber('mscale_all_dim') ?? 0;
  const stretch =
    parameters.type !== 'default' && allDimensions !== 0
      ? yarnMagnitude(parameters.section!.number('factor'), allDimensions)
      : 1;
  const latentNorm = (name: string) => rmsNorm(checkpoint.tensor(`${prefix}.${name}.weight`), latentEpsilon);
  return latentAttention({
    query: config.has('q_lora_rank')
      ? {
          down: checkpoint.linear(`${prefix}.q_a_proj`),
          norm: latentNorm('q_a_layernorm'),
          up: checkpoint.linear(`${prefix}.q_b_proj`),
        }
      : checkpoint.linear(`${prefix}.q_proj`),
    keyValueDown: checkpoint.linear(`${prefix}.kv_a_proj_with_mqa`),
    keyValueNorm: latentNorm('kv_a_layernorm'),
    keyValueUp: checkpoint.linear(`${prefix}.kv_b_proj`),
    output: checkpoint.linear(`${prefix}.o_proj`),
    heads: config.number('num_attention_heads'),
    latentWidth: config.number('kv_lora_rank'),
    nopeWidth,
    ropeWidth,
    valueWidth: config.number('v_head_dim'),
    scale: (nopeWidth + ropeWidth) ** -0.5 * stretch * stretch,
    rope: makeRope(parameters, ropeWidth, length, pairs),
  });
}

/** The first layers are dense; the others have routed experts and shared experts that are simply added. */
export function deepseekFeedForward(
  checkpoint: ReferenceCheckpoint,
  index: number,
  router: (prefix: string) => Router,
): DecoderLayer['feedForward'] {
  const { config } = checkpoint;
  const prefix = `${checkpoint.layer(index)}.mlp`;
  if (index < config.number('first_k_dense_replace', 0)) return denseNetwork(checkpoint, prefix);
  return {
    gate: checkpoint.linear(`${prefix}.gate`),
    router: router(prefix),
    experts: separateExperts(
      checkpoint,
      `${prefix}.experts`,
      config.firstNumber(['n_routed_experts', 'num_local_experts', 'num_experts']),
      hiddenActivation(checkpoint),
    ),
    activeExperts: config.number('num_experts_per_tok'),
    weightsApplyTo: 'output',
    shared: config.number('n_shared_experts', 0) > 0 ? denseNetwork(checkpoint, `${prefix}.shared_experts`) : undefined,
  };
}
