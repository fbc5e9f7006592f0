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
  wNames,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

/** GLM-4, Dots1 and MiniMax-M2: grouped-query attention with routers that score by sigmoid and choose with a bias. */
const base = {
  ...commonConfig,
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  num_experts_per_tok: tiny.activeExperts,
  n_routed_experts: tiny.experts,
  n_shared_experts: 1,
  n_group: 1,
  topk_group: 1,
  first_k_dense_replace: 1,
  norm_topk_prob: true,
  routed_scaling_factor: 1.5,
  head_dim: tiny.headDim,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
};

const headNorms = { names: ['q_norm', 'k_norm'], over: 'head' } as const;

function choiceBias(name: string): TinyTensor {
  return { name: `${name}.e_score_correction_bias`, shape: [tiny.experts], role: 'choiceBias', storage: 'F32' };
}

function feedForward(layer: string, index: number): TinyTensor[] {
  if (index === 0) return network(`${layer}.mlp`, tiny.dense);
  return [
    router(`${layer}.mlp.gate`),
    choiceBias(`${layer}.mlp.gate`),
    ...experts(`${layer}.mlp.experts`),
    ...network(`${layer}.mlp.shared_experts`, tiny.expert),
  ];
}

const glm4: TinyCheckpoint = {
  name: 'glm4_moe-head-norms-bias',
  config: {
    ...base,
    architectures: ['Glm4MoeForCausalLM'],
    model_type: 'glm4_moe',
    use_qk_norm: true,
    attention_bias: true,
    partial_rotary_factor: 0.5,
  },
  seed: 51,
  tensors: decoder((layer, index) => [
    ...preNorms(layer),
    ...attention(layer, { bias: true, norms: headNorms }),
    ...feedForward(layer, index),
  ]),
};

function dots1(name: string, changes: Record<string, unknown>, seed: number): TinyCheckpoint {
  return {
    name: `dots1${name}`,
    config: {
      ...base,
      architectures: ['Dots1ForCausalLM'],
      model_type: 'dots1',
      sliding_window: null,
      max_window_layers: tiny.layers,
      ...changes,
    },
    seed,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer, { norms: headNorms }),
      ...feedForward(layer, index),
    ]),
  };
}

const miniMax: TinyCheckpoint = {
  name: 'minimax_m2',
  config: {
    ...commonConfig,
    architectures: ['MiniMaxM2ForCausalLM'],
    model_type: 'minimax_m2',
    intermediate_size: tiny.expert,
    num_local_experts: tiny.experts,
    num_experts_per_tok: tiny.activeExperts,
    head_dim: tiny.headDim,
    rotary_dim: tiny.headDim / 2,
    partial_rotary_factor: 0.5,
    rms_norm_eps: 1e-6,
    rope_theta: 5000000,
  },
  seed: 54,
  tensors: decoder((layer) => [
    ...preNorms(layer),
    ...attention(layer, { norms: { names: ['q_norm', 'k_norm'], over: 'projection' } }),
    router(`${layer}.block_sparse_moe.gate`),
    choiceBias(`${layer}.block_sparse_moe`),
    ...experts(`${layer}.block_sparse_moe.experts`, { names: wNames }),
  ]),
};

export const sigmoidRouted: readonly TinyCheckpoint[] = [
  glm4,
  dots1('', {}, 52),
  dots1('-sliding-window', { sliding_window: 16, max_window_layers: 2, norm_topk_prob: false }, 53),
  miniMax,
];
