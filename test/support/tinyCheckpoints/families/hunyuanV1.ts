import {
  attention,
  commonConfig,
  decoder,
  experts,
  network,
  preNorms,
  router,
  tiny,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const config = {
  ...commonConfig,
  architectures: ['HunYuanMoEV1ForCausalLM'],
  model_type: 'hunyuan_v1_moe',
  intermediate_size: tiny.expert,
  num_experts: tiny.experts,
  moe_topk: tiny.activeExperts,
  head_dim: tiny.headDim,
  attention_bias: false,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
};

function checkpoint(name: string, changes: Record<string, unknown>, seed: number): TinyCheckpoint {
  return {
    name: `hunyuan_v1_moe${name}`,
    config: { ...config, ...changes },
    seed,
    tensors: decoder((layer) => [
      ...preNorms(layer),
      ...attention(layer, { norms: { names: ['query_layernorm', 'key_layernorm'], over: 'head' } }),
      router(`${layer}.mlp.gate.wg`, tiny.experts, 'F32'),
      ...experts(`${layer}.mlp.experts`),
      ...network(`${layer}.mlp.shared_mlp`, tiny.expert),
    ]),
  };
}

export const hunyuanV1: readonly TinyCheckpoint[] = [
  checkpoint('-k-by-layer', { moe_topk: [1, 2, 3, 4] }, 111),
  checkpoint('-alpha-rope', { rope_scaling: { type: 'dynamic', alpha: 1000, factor: 1 } }, 3112),
];
