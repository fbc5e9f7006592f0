import type { TinyTensor } from '../randomTensors';
import {
  attention,
  commonConfig,
  decoder,
  preNorms,
  router,
  tiny,
  weight,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const sharedWidth = 48;

const config = {
  ...commonConfig,
  architectures: ['GraniteMoeForCausalLM'],
  model_type: 'granitemoe',
  intermediate_size: tiny.expert,
  num_local_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  rms_norm_eps: 1e-6,
  attention_bias: true,
  embedding_multiplier: 3,
  attention_multiplier: 0.2,
  residual_multiplier: 0.4,
  logits_scaling: 2,
  tie_word_embeddings: true,
  rope_theta: 10000,
};

function layer(name: string): TinyTensor[] {
  const prefix = `${name}.block_sparse_moe`;
  return [
    ...preNorms(name),
    ...attention(name, { bias: true, outputBias: true }),
    router(`${prefix}.router.layer`),
    { name: `${prefix}.input_linear.weight`, shape: [tiny.experts, 2 * tiny.expert, tiny.hidden], role: 'weight' },
    { name: `${prefix}.output_linear.weight`, shape: [tiny.experts, tiny.hidden, tiny.expert], role: 'weight' },
  ];
}

export const graniteMoe: readonly TinyCheckpoint[] = [
  { name: 'granitemoe-multipliers', config, seed: 71, tensors: decoder(layer, { tied: true }) },
  {
    name: 'granitemoeshared',
    config: {
      ...config,
      architectures: ['GraniteMoeSharedForCausalLM'],
      model_type: 'granitemoeshared',
      shared_intermediate_size: sharedWidth,
    },
    seed: 72,
    tensors: decoder(
      (name) => [
        ...layer(name),
        weight(`${name}.shared_mlp.input_linear`, 2 * sharedWidth, tiny.hidden),
        weight(`${name}.shared_mlp.output_linear`, tiny.hidden, sharedWidth),
      ],
      { tied: true },
    ),
  },
];
