import type { TinyTensor } from '../randomTensors';
import {
  attention,
  commonConfig,
  decoder,
  experts,
  network,
  preNorms,
  router,
  tiny,
  weight,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

/** Families that differ from better known ones in one or two facts: attention, one name, or a nested configuration. */
const base = {
  ...commonConfig,
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  num_experts_per_tok: tiny.activeExperts,
  head_dim: tiny.headDim,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
};

const routed = {
  n_routed_experts: tiny.experts,
  n_shared_experts: 1,
  n_group: 2,
  topk_group: 1,
  norm_topk_prob: true,
  routed_scaling_factor: 1.5,
};

const headNorms = { names: ['q_norm', 'k_norm'], over: 'head' } as const;

function choiceBias(name: string): TinyTensor {
  return { name, shape: [tiny.experts], role: 'choiceBias', storage: 'F32' };
}

function stacked(prefix: string, orientation: 'output' | 'input', width: number): TinyTensor[] {
  const shape = (outputs: number, inputs: number) =>
    orientation === 'output' ? [tiny.experts, outputs, inputs] : [tiny.experts, inputs, outputs];
  return [
    { name: `${prefix}.gate_up_proj`, shape: shape(2 * width, tiny.hidden), role: 'weight', fanIn: tiny.hidden },
    { name: `${prefix}.down_proj`, shape: shape(tiny.hidden, width), role: 'weight', fanIn: width },
  ];
}

/** The block of DeepSeek-V3 with its own names. */
function deepseekBlock(layer: string): TinyTensor[] {
  return [
    router(`${layer}.mlp.gate`),
    choiceBias(`${layer}.mlp.gate.e_score_correction_bias`),
    ...experts(`${layer}.mlp.experts`),
    ...network(`${layer}.mlp.shared_experts`, tiny.expert),
  ];
}

const slidingThenFull = ['sliding_attention', 'sliding_attention', 'full_attention', 'sliding_attention'];

export const siblings: readonly TinyCheckpoint[] = [
  {
    name: 'deepseek-without-shared',
    config: {
      ...base,
      architectures: ['DeepseekForCausalLM'],
      model_type: 'deepseek',
      n_routed_experts: tiny.experts,
      n_shared_experts: null,
      first_k_dense_replace: 1,
      norm_topk_prob: false,
    },
    seed: 5071,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer),
      ...(index === 0
        ? network(`${layer}.mlp`, tiny.dense)
        : [router(`${layer}.mlp.gate`), ...experts(`${layer}.mlp.experts`)]),
    ]),
  },
  {
    name: 'solar_open',
    config: {
      ...base,
      ...routed,
      architectures: ['SolarOpenForCausalLM'],
      model_type: 'solar_open',
      attention_bias: true,
    },
    seed: 1072,
    tensors: decoder((layer) => [...preNorms(layer), ...attention(layer, { bias: true }), ...deepseekBlock(layer)]),
  },
  {
    name: 'exaone_moe',
    config: {
      ...base,
      ...routed,
      n_routed_experts: undefined,
      n_shared_experts: undefined,
      architectures: ['ExaoneMoeForCausalLM'],
      model_type: 'exaone_moe',
      num_experts: tiny.experts,
      num_shared_experts: 1,
      first_k_dense_replace: 1,
      sliding_window: 12,
      sliding_window_pattern: 4,
      layer_types: slidingThenFull,
    },
    seed: 73,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer, { norms: headNorms }),
      ...(index === 0
        ? network(`${layer}.mlp`, tiny.dense)
        : [
            router(`${layer}.mlp.gate`),
            choiceBias(`${layer}.mlp.e_score_correction_bias`),
            ...experts(`${layer}.mlp.experts`),
            ...network(`${layer}.mlp.shared_experts`, tiny.expert),
          ]),
    ]),
  },
  {
    name: 'hy_v3',
    config: {
      ...base,
      architectures: ['HYV3ForCausalLM'],
      model_type: 'hy_v3',
      num_experts: tiny.experts,
      num_shared_experts: 2,
      router_scaling_factor: 2.826,
      mlp_layer_types: ['dense', 'sparse', 'sparse', 'sparse'],
    },
    seed: 74,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer, { norms: headNorms }),
      ...(index === 0
        ? network(`${layer}.mlp`, tiny.dense)
        : [
            router(`${layer}.mlp.router.gate`),
            choiceBias(`${layer}.mlp.expert_bias`),
            ...experts(`${layer}.mlp.experts`),
            ...network(`${layer}.mlp.shared_mlp`, 2 * tiny.expert),
          ]),
    ]),
  },
  {
    name: 'mellum',
    config: {
      ...base,
      rope_theta: undefined,
      architectures: ['MellumForCausalLM'],
      model_type: 'mellum',
      num_experts: tiny.experts,
      norm_topk_prob: true,
      sliding_window: 12,
      layer_types: slidingThenFull,
      rope_parameters: {
        full_attention: {
          rope_type: 'yarn',
          rope_theta: 500000,
          factor: 4,
          original_max_position_embeddings: 128,
        },
        sliding_attention: { rope_type: 'default', rope_theta: 10000 },
      },
    },
    seed: 1075,
    tensors: decoder((layer) => [
      ...preNorms(layer),
      ...attention(layer, { norms: headNorms }),
      router(`${layer}.mlp.gate`),
      ...experts(`${layer}.mlp.experts`),
    ]),
  },
  {
    name: 'glm4v_moe',
    config: {
      architectures: ['Glm4vMoeForConditionalGeneration'],
      model_type: 'glm4v_moe',
      tie_word_embeddings: false,
      text_config: {
        ...base,
        ...routed,
        model_type: 'glm4v_moe_text',
        attention_bias: true,
        partial_rotary_factor: 0.5,
        first_k_dense_replace: 1,
        rope_scaling: { type: 'default', mrope_section: [1, 1, 2] },
      },
    },
    seed: 76,
    tensors: decoder(
      (layer, index) => [
        ...preNorms(layer),
        ...attention(layer, { bias: true }),
        ...(index === 0 ? network(`${layer}.mlp`, tiny.dense) : deepseekBlock(layer)),
      ],
      { prefix: 'model.language_model.' },
    ),
  },
  {
    name: 'qwen3_vl_moe',
    config: {
      architectures: ['Qwen3VLMoeForConditionalGeneration'],
      model_type: 'qwen3_vl_moe',
      tie_word_embeddings: true,
      text_config: {
        ...base,
        tie_word_embeddings: undefined,
        moe_intermediate_size: 40,
        model_type: 'qwen3_vl_moe_text',
        num_experts: tiny.experts,
        decoder_sparse_step: 1,
        mlp_only_layers: [],
        rope_scaling: { rope_type: 'default', mrope_interleaved: true, mrope_section: [4, 2, 2] },
      },
    },
    seed: 3077,
    tensors: decoder(
      (layer) => [
        ...preNorms(layer),
        ...attention(layer, { norms: headNorms }),
        router(`${layer}.mlp.gate`),
        ...stacked(`${layer}.mlp.experts`, 'input', 40),
      ],
      { prefix: 'model.language_model.', tied: true },
    ),
  },
  {
    name: 'qwen3_omni_moe-thinker',
    config: {
      architectures: ['Qwen3OmniMoeForConditionalGeneration'],
      model_type: 'qwen3_omni_moe',
      thinker_config: {
        model_type: 'qwen3_omni_moe_thinker',
        text_config: {
          ...base,
          model_type: 'qwen3_omni_moe_text',
          num_experts: tiny.experts,
          norm_topk_prob: false,
          decoder_sparse_step: 1,
          mlp_only_layers: [],
          rope_scaling: { rope_type: 'default', mrope_section: [4, 2, 2] },
        },
      },
    },
    seed: 78,
    tensors: [
      ...decoder(
        (layer) => [
          ...preNorms(layer),
          ...attention(layer, { norms: headNorms }),
          router(`${layer}.mlp.gate`),
          ...experts(`${layer}.mlp.experts`),
        ],
        { prefix: 'thinker.model.', head: [weight('thinker.lm_head', tiny.vocabulary, tiny.hidden)] },
      ),
    ],
  },
];
