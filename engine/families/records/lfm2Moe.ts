import type { FamilyRecord } from '../familyRecord';
import { experts, standardAttention, standardDecoder } from '../stems';

/** LFM2-MoE (Liquid AI, 2025): gated short convolutions between attention layers. */
export const lfm2Moe: FamilyRecord = {
  name: 'lfm2_moe',
  title: 'LFM2-MoE',
  modelTypes: ['lfm2_moe'],
  architectures: ['Lfm2MoeForCausalLM'],
  tensors: { finalNorm: 'embedding_norm' },
  defaults: { num_experts: 32, num_experts_per_tok: 4, num_key_value_heads: 8 },
  router: {
    weight: 'feed_forward.gate.weight',
    selectionBias: 'feed_forward.expert_bias',
    selectionBiasWhen: { keys: ['use_expert_bias'], absent: true },
    score: 'sigmoid',
    gates: { kind: 'sum', epsilon: 1e-6, when: { keys: ['norm_topk_prob'], absent: true } },
    scaleKeys: ['routed_scaling_factor'],
  },
  experts: [experts.numbered('feed_forward'), experts.fused('feed_forward', 'output-major')],
  activation: { kind: 'fixed', activation: { kind: 'silu-gated' } },
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      output: 'self_attn.out_proj',
      queryKeyNorm: {
        query: 'self_attn.q_layernorm',
        key: 'self_attn.k_layernorm',
        scope: 'head',
        order: 'before-rotary',
      },
      rotary: { pairing: 'half', defaultTheta: 1e6 },
    },
    convolution: { layerType: 'conv', input: 'conv.in_proj', output: 'conv.out_proj', kernel: 'conv.conv' },
    norms: { kind: 'rms', mixer: 'operator_norm', feedForward: 'ffn_norm', placement: 'pre' },
    defaultEpsilon: 1e-5,
    dense: { layout: 'gated', gate: 'feed_forward.w1', up: 'feed_forward.w3', down: 'feed_forward.w2' },
    tiedHeadAbsent: true,
    tiedHeadKeys: ['tie_word_embeddings', 'tie_embedding'],
  },
};
