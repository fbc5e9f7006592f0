import type { FamilyRecord } from '../familyRecord';
import { experts, gatedNetwork, sharedNetwork, siluByConfig, standardAttention, standardDecoder } from '../stems';

/** Llama 4 (text): sigmoid gates on the expert input, chunked attention, layers without position embedding. */
export const llama4: FamilyRecord = {
  name: 'llama4_text',
  title: 'Llama 4',
  modelTypes: ['llama4_text', 'llama4'],
  architectures: ['Llama4ForCausalLM', 'Llama4ForConditionalGeneration'],
  defaults: {
    num_local_experts: 16,
    num_experts_per_tok: 1,
    num_key_value_heads: 8,
    head_dim: 128,
    attention_chunk_size: 8192,
  },
  router: {
    weight: 'feed_forward.router.weight',
    score: 'logits',
    gates: { kind: 'sigmoid-chosen' },
    apply: 'input',
  },
  experts: [experts.fused('feed_forward', 'input-major')],
  activation: siluByConfig,
  shared: sharedNetwork('feed_forward.shared_expert'),
  decoder: {
    ...standardDecoder,
    mixer: {
      ...standardAttention,
      queryKeyNorm: {
        scope: 'head',
        order: 'after-rotary',
        when: { keys: ['use_qk_norm'], absent: true },
        onlyRotaryLayers: true,
      },
      mask: { rule: 'layer-types', absent: 'chunked' },
      rotary: {
        pairing: 'interleaved',
        defaultTheta: 500000,
        usedInLayers: { key: 'no_rope_layers', intervalKey: 'no_rope_layer_interval', absentInterval: 4 },
      },
      temperature: {
        when: { keys: ['attn_temperature_tuning'], absent: true },
        floorKeys: ['floor_scale'],
        scaleKeys: ['attn_scale'],
      },
    },
    defaultEpsilon: 1e-5,
    dense: gatedNetwork('feed_forward'),
  },
};
