import type { FamilyRecord } from '../familyRecord';
import { standardAttention } from '../stems';

/** DBRX (Databricks, 2024): flat expert matrices, fused query/key/value, layer norms without bias. */
export const dbrx: FamilyRecord = {
  name: 'dbrx',
  title: 'DBRX',
  modelTypes: ['dbrx'],
  architectures: ['DbrxForCausalLM'],
  keys: {
    experts: ['ffn_config.moe_num_experts'],
    activeExperts: ['ffn_config.moe_top_k'],
    keyValueHeads: ['attn_config.kv_n_heads'],
  },
  // dbrx-base and dbrx-instruct do not state how gates are divided.
  defaults: {
    'ffn_config.moe_num_experts': 4,
    'ffn_config.moe_top_k': 1,
    'ffn_config.moe_normalize_expert_weights': 1,
    'attn_config.kv_n_heads': 1,
  },
  tensors: {
    roots: [{ root: 'transformer.', head: 'lm_head' }],
    layer: 'blocks.{layer}.',
    embedding: 'wte.weight',
    finalNorm: 'norm_f',
  },
  router: {
    weight: 'ffn.router.layer.weight',
    score: 'softmax',
    gates: { kind: 'p-norm', keys: ['ffn_config.moe_normalize_expert_weights'] },
  },
  experts: [{ layout: 'row-blocks', gate: 'ffn.experts.mlp.w1', up: 'ffn.experts.mlp.v1', down: 'ffn.experts.mlp.w2' }],
  activation: { kind: 'named', keys: ['ffn_config.ffn_act_fn.name'], absent: 'silu' },
  decoder: {
    supported: true,
    mixer: {
      ...standardAttention,
      output: 'norm_attn_norm.attn.out_proj',
      fusedQueryKeyValue: 'norm_attn_norm.attn.Wqkv',
      clipKeys: ['attn_config.clip_qkv'],
      rotary: { pairing: 'half', defaultTheta: 10000, thetaKeys: ['attn_config.rope_theta'] },
    },
    norms: {
      kind: 'layer',
      mixer: 'norm_attn_norm.norm_1',
      feedForward: 'norm_attn_norm.norm_2',
      placement: 'pre',
    },
    defaultEpsilon: 1e-5,
  },
};
