import { gatedBy } from '../activations';
import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { mixtralNames, namedNetwork, separateExperts } from '../experts';
import { biasedRouter } from '../router';
import { shortConvolution } from '../shortConvolution';
import { assembleModel, headRope, namedNorm, queryKeyNorms, standardAttention } from './parts';

/** LFM2-MoE: short convolutions between attention layers; sigmoid router with an optional bias for the choice. */
export function buildLfm2(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e6);
  const types = config.optionalTexts('layer_types') ?? [];
  return assembleModel(
    checkpoint,
    (index) => {
      const prefix = checkpoint.layer(index);
      return {
        mixerNorm: namedNorm(checkpoint, `${prefix}.operator_norm`, 'norm_eps'),
        mixer:
          types[index] === 'full_attention'
            ? standardAttention(checkpoint, index, rope, {
                outputName: 'out_proj',
                output: checkpoint.linear(`${prefix}.self_attn.out_proj`),
                queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('norm_eps'), {
                  over: 'head',
                  names: ['q_layernorm', 'k_layernorm'],
                }),
              })
            : shortConvolution({
                input: checkpoint.linear(`${prefix}.conv.in_proj`),
                kernel: checkpoint.tensor(`${prefix}.conv.conv.weight`),
                bias: checkpoint.optional(`${prefix}.conv.conv.bias`),
                output: checkpoint.linear(`${prefix}.conv.out_proj`),
              }),
        feedForwardNorm: namedNorm(checkpoint, `${prefix}.ffn_norm`, 'norm_eps'),
        feedForward: feedForward(checkpoint, index),
      };
    },
    {
      finalNorm: namedNorm(checkpoint, `${checkpoint.prefix}embedding_norm`, 'norm_eps'),
      tiedByDefault: config.flag('tie_embedding', true),
    },
  );
}

function feedForward(checkpoint: ReferenceCheckpoint, index: number) {
  const { config } = checkpoint;
  const prefix = `${checkpoint.layer(index)}.feed_forward`;
  const activation = gatedBy('silu');
  if (index < config.number('num_dense_layers', 2)) return namedNetwork(checkpoint, prefix, activation, mixtralNames);
  return {
    gate: checkpoint.linear(`${prefix}.gate`),
    router: biasedRouter({
      score: 'sigmoid',
      bias: config.flag('use_expert_bias', true) ? checkpoint.tensor(`${prefix}.expert_bias`).data : undefined,
      divide: config.flag('norm_topk_prob', true) ? { by: 'sumPlus', epsilon: 1e-6 } : undefined,
      scale: config.number('routed_scaling_factor', 1),
    }),
    experts: separateExperts(checkpoint, `${prefix}.experts`, config.number('num_experts'), activation, mixtralNames),
    activeExperts: config.number('num_experts_per_tok'),
    weightsApplyTo: 'output' as const,
  };
}
