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

const base = {
  ...commonConfig,
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  num_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  decoder_sparse_step: 1,
  mlp_only_layers: [],
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
};

const sharedWidth = 48;

function qwen2(
  name: string,
  changes: Record<string, unknown>,
  isDense: (index: number) => boolean,
  seed: number,
): TinyCheckpoint {
  return {
    name: `qwen2_moe-${name}`,
    config: {
      ...base,
      architectures: ['Qwen2MoeForCausalLM'],
      model_type: 'qwen2_moe',
      shared_expert_intermediate_size: sharedWidth,
      norm_topk_prob: false,
      ...changes,
    },
    seed,
    tensors: decoder((layer, index) => [
      ...preNorms(layer),
      ...attention(layer, { bias: true }),
      ...(isDense(index)
        ? network(`${layer}.mlp`, tiny.dense)
        : [
            router(`${layer}.mlp.gate`),
            ...experts(`${layer}.mlp.experts`),
            ...network(`${layer}.mlp.shared_expert`, sharedWidth),
            weight(`${layer}.mlp.shared_expert_gate`, 1, tiny.hidden),
          ]),
    ]),
  };
}

/** How the experts of a file are kept: each alone, or all in one tensor in either orientation. */
type ExpertStorage = 'separate' | 'stacked' | 'transposed';

function storedExperts(prefix: string, width: number, storage: ExpertStorage): TinyTensor[] {
  if (storage === 'separate') return experts(prefix, { width });
  const oriented = (name: string, outputs: number, inputs: number): TinyTensor => ({
    name: `${prefix}.${name}`,
    shape: storage === 'stacked' ? [tiny.experts, outputs, inputs] : [tiny.experts, inputs, outputs],
    role: 'weight',
    fanIn: inputs,
  });
  return [oriented('gate_up_proj', 2 * width, tiny.hidden), oriented('down_proj', tiny.hidden, width)];
}

function qwen3(
  name: string,
  changes: Record<string, unknown>,
  seed: number,
  storage: ExpertStorage = 'separate',
): TinyCheckpoint {
  const config = {
    ...base,
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    head_dim: tiny.headDim as number,
    norm_topk_prob: true,
    ...changes,
  };
  return {
    name: `qwen3_moe-${name}`,
    config,
    seed,
    tensors: decoder((layer) => [
      ...preNorms(layer),
      ...attention(layer, { headDim: config.head_dim, norms: { names: ['q_norm', 'k_norm'], over: 'head' } }),
      router(`${layer}.mlp.gate`),
      ...storedExperts(`${layer}.mlp.experts`, config.moe_intermediate_size, storage),
    ]),
  };
}

export const qwen: readonly TinyCheckpoint[] = [
  qwen2('sparse-step', { decoder_sparse_step: 2 }, (index) => index % 2 === 0, 31),
  qwen2(
    'sliding-window',
    {
      use_sliding_window: true,
      sliding_window: 12,
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
      mlp_only_layers: [2],
      norm_topk_prob: true,
    },
    (index) => index === 2,
    3032,
  ),
  qwen3('wide-heads', { head_dim: 24 }, 33),
  qwen3('sliding-window', { use_sliding_window: true, sliding_window: 16, norm_topk_prob: false }, 2034),
  qwen3(
    'yarn-rope',
    { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 }, rope_theta: 1000000 },
    1035,
  ),
  // With experts half as wide as the model, only the down projection tells the orientation.
  qwen3('stacked-experts', { num_local_experts: tiny.experts, num_experts: undefined }, 2036, 'stacked'),
  qwen3('transposed-experts', { moe_intermediate_size: 40 }, 37, 'transposed'),
];
