import type { TinyTensor } from '../randomTensors';
import {
  attention,
  bias,
  commonConfig,
  decoder,
  experts,
  linear,
  network,
  norm,
  router,
  tiny,
  wNames,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const config = {
  ...commonConfig,
  architectures: ['Lfm2MoeForCausalLM'],
  model_type: 'lfm2_moe',
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  num_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  num_dense_layers: 1,
  layer_types: ['conv', 'full_attention', 'conv', 'conv'],
  conv_bias: false,
  conv_L_cache: 3,
  use_expert_bias: true,
  norm_topk_prob: true,
  routed_scaling_factor: 1,
  norm_eps: 1e-5,
  rope_theta: 1000000,
};

function mixer(layer: string, index: number, withBias: boolean, length: number): TinyTensor[] {
  if (config.layer_types[index] === 'full_attention') {
    return attention(layer, { outputName: 'out_proj', norms: { names: ['q_layernorm', 'k_layernorm'], over: 'head' } });
  }
  const prefix = `${layer}.conv`;
  return [
    ...linear(`${prefix}.in_proj`, 3 * tiny.hidden, tiny.hidden, withBias),
    { name: `${prefix}.conv.weight`, shape: [tiny.hidden, 1, length], role: 'weight', fanIn: length },
    ...(withBias ? [bias(`${prefix}.conv`, tiny.hidden)] : []),
    ...linear(`${prefix}.out_proj`, tiny.hidden, tiny.hidden, withBias),
  ];
}

function checkpoint(name: string, changes: Record<string, unknown>, seed: number): TinyCheckpoint {
  const merged = { ...config, ...changes };
  return {
    name: `lfm2_moe${name}`,
    config: merged,
    seed,
    tensors: decoder(
      (layer, index) => [
        norm(`${layer}.operator_norm`),
        norm(`${layer}.ffn_norm`),
        ...mixer(layer, index, merged.conv_bias, merged.conv_L_cache),
        ...(index < merged.num_dense_layers
          ? network(`${layer}.feed_forward`, tiny.dense, { names: wNames })
          : [
              router(`${layer}.feed_forward.gate`),
              ...(merged.use_expert_bias
                ? [
                    {
                      name: `${layer}.feed_forward.expert_bias`,
                      shape: [tiny.experts],
                      role: 'choiceBias' as const,
                      storage: 'F32' as const,
                    },
                  ]
                : []),
              ...experts(`${layer}.feed_forward.experts`, { names: wNames }),
            ]),
      ],
      { tied: merged.tie_word_embeddings, finalNorm: 'embedding_norm' },
    ),
  };
}

export const lfm2: readonly TinyCheckpoint[] = [
  checkpoint('', { tie_word_embeddings: true }, 121),
  checkpoint(
    '-bias',
    { conv_bias: true, conv_L_cache: 4, use_expert_bias: false, norm_topk_prob: false, routed_scaling_factor: 1.7 },
    122,
  ),
];
