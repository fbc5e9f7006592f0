import type { TinyTensor } from '../randomTensors';
import {
  attention,
  commonConfig,
  decoder,
  network,
  preNorms,
  router,
  tiny,
  weight,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

/** Chunks and floors are so small that both matter within 48 tokens. */
const config = {
  ...commonConfig,
  architectures: ['Llama4ForCausalLM'],
  model_type: 'llama4_text',
  intermediate_size: tiny.expert,
  intermediate_size_mlp: tiny.dense,
  num_local_experts: tiny.experts,
  num_experts_per_tok: 2,
  interleave_moe_layer_step: 1,
  moe_layers: [0, 1, 3],
  head_dim: tiny.headDim,
  attention_chunk_size: 16,
  no_rope_layers: [1, 1, 0, 1],
  layer_types: ['chunked_attention', 'chunked_attention', 'full_attention', 'chunked_attention'],
  attn_temperature_tuning: true,
  floor_scale: 8,
  attn_scale: 0.1,
  use_qk_norm: true,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
};

function layer(name: string, index: number): TinyTensor[] {
  const prefix = `${name}.feed_forward`;
  return [
    ...preNorms(name),
    ...attention(name),
    ...(config.moe_layers.includes(index)
      ? [
          router(`${prefix}.router`),
          {
            name: `${prefix}.experts.gate_up_proj`,
            shape: [tiny.experts, tiny.hidden, 2 * tiny.expert],
            role: 'weight' as const,
            fanIn: tiny.hidden,
          },
          {
            name: `${prefix}.experts.down_proj`,
            shape: [tiny.experts, tiny.expert, tiny.hidden],
            role: 'weight' as const,
            fanIn: tiny.expert,
          },
          ...network(`${prefix}.shared_expert`, tiny.expert),
        ]
      : network(prefix, tiny.dense)),
  ];
}

export const llama4: readonly TinyCheckpoint[] = [
  { name: 'llama4_text-chunked', config, seed: 91, tensors: decoder(layer) },
  { name: 'llama4_text-no-head-norms', config: { ...config, use_qk_norm: false }, seed: 92, tensors: decoder(layer) },
  {
    name: 'llama4-nested',
    config: { architectures: ['Llama4ForConditionalGeneration'], model_type: 'llama4', text_config: config },
    seed: 93,
    tensors: decoder(layer, {
      prefix: 'language_model.model.',
      head: [weight('language_model.lm_head', tiny.vocabulary, tiny.hidden)],
    }),
  },
];
