import type { FamilyRecord } from '../familyRecord';
import { standardAttention, standardDecoder } from '../stems';

/** gpt-oss (arXiv 2508.10925): biases everywhere, attention sinks, clamped SwiGLU, MXFP4 storage. */
export const gptOss: FamilyRecord = {
  name: 'gpt_oss',
  title: 'gpt-oss',
  modelTypes: ['gpt_oss'],
  architectures: ['GptOssForCausalLM'],
  defaults: {
    num_local_experts: 128,
    num_experts_per_tok: 4,
    num_key_value_heads: 8,
    head_dim: 64,
    sliding_window: 128,
    rope_scaling: {
      rope_type: 'yarn',
      factor: 32,
      beta_fast: 32,
      beta_slow: 1,
      truncate: false,
      original_max_position_embeddings: 4096,
    },
  },
  router: {
    weight: 'mlp.router.weight',
    bias: 'mlp.router.bias',
    score: 'logits',
    gates: { kind: 'softmax-chosen' },
  },
  experts: [
    {
      layout: 'fused',
      gateUp: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      arrangement: 'interleaved',
      orientation: 'input-major',
      gateUpBias: 'mlp.experts.gate_up_proj_bias',
      downBias: 'mlp.experts.down_proj_bias',
    },
    {
      layout: 'fused-mxfp4',
      gateUp: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      gateUpBias: 'mlp.experts.gate_up_proj_bias',
      downBias: 'mlp.experts.down_proj_bias',
    },
  ],
  activation: { kind: 'fixed', activation: { kind: 'clamped-swiglu', alpha: 1.702, limit: 7 } },
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      mask: { rule: 'layer-types', absent: 'alternating' },
      rotary: { pairing: 'half', defaultTheta: 150000 },
      sinks: 'self_attn.sinks',
    },
    defaultEpsilon: 1e-5,
  },
};
