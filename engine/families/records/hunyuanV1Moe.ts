import type { FamilyRecord } from '../familyRecord';
import { experts, sharedNetwork, siluByConfig, standardAttention, standardDecoder } from '../stems';

/** Hunyuan-A13B (Tencent, 2025): the one family whose config natively takes a list of active experts. */
export const hunyuanV1Moe: FamilyRecord = {
  name: 'hunyuan_v1_moe',
  title: 'Hunyuan V1 MoE',
  modelTypes: ['hunyuan_v1_moe'],
  architectures: ['HunYuanMoEV1ForCausalLM'],
  ignoresExpertWidth: true,
  defaults: { num_experts: 1, moe_topk: 1 },
  router: { weight: 'mlp.gate.wg.weight', score: 'softmax', gates: { kind: 'sum', epsilon: 0 } },
  experts: experts.projectionsOrFused('mlp'),
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_mlp'),
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: {
        query: 'self_attn.query_layernorm',
        key: 'self_attn.key_layernorm',
        scope: 'head',
        order: 'after-rotary',
      },
    },
    defaultEpsilon: 1e-5,
  },
};
