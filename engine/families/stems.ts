import type {
  BlockNormRecord,
  UnsupportedDecoder,
  DecoderRecord,
  ExpertLayout,
  GroupedQueryRecord,
  NetworkNames,
  RouterRecord,
  SharedRecord,
} from './familyRecord';

/** Pieces that many families share word for word; records combine them. */

export const experts = {
  /** `mlp.experts.{e}.gate_proj` … (Qwen, OLMoE, DeepSeek, GLM and most others). */
  projections: (block: string): ExpertLayout => ({
    layout: 'separate',
    gate: `${block}.experts.{expert}.gate_proj`,
    up: `${block}.experts.{expert}.up_proj`,
    down: `${block}.experts.{expert}.down_proj`,
  }),
  /** `experts.{e}.w1` = gate, `w3` = up, `w2` = down (Mixtral). */
  numbered: (block: string): ExpertLayout => ({
    layout: 'separate',
    gate: `${block}.experts.{expert}.w1`,
    up: `${block}.experts.{expert}.w3`,
    down: `${block}.experts.{expert}.w2`,
  }),
  /** `experts.gate_up_proj` and `experts.down_proj`, three-dimensional. */
  fused: (block: string, orientation: 'output-major' | 'input-major'): ExpertLayout => ({
    layout: 'fused',
    gateUp: `${block}.experts.gate_up_proj`,
    down: `${block}.experts.down_proj`,
    arrangement: 'concatenated',
    orientation,
  }),
  /** As released, and as Transformers 5 has them in memory. */
  projectionsOrFused: (block: string): readonly ExpertLayout[] => [
    experts.projections(block),
    experts.fused(block, 'output-major'),
  ],
} as const;

export function gatedNetwork(stem: string): NetworkNames {
  return { layout: 'gated', gate: `${stem}.gate_proj`, up: `${stem}.up_proj`, down: `${stem}.down_proj` };
}

export function sharedNetwork(stem: string): SharedRecord {
  return { network: gatedNetwork(stem) };
}

export const siluByConfig = { kind: 'named', keys: ['hidden_act'], absent: 'silu' } as const;

/** Grouped-query attention under `self_attn` with the usual projection names. */
export const standardAttention = {
  kind: 'grouped-query',
  query: 'self_attn.q_proj',
  key: 'self_attn.k_proj',
  value: 'self_attn.v_proj',
  output: 'self_attn.o_proj',
  mask: { rule: 'causal' },
  rotary: { pairing: 'half', defaultTheta: 10000 },
} as const satisfies GroupedQueryRecord;

export const perHeadNorm = {
  query: 'self_attn.q_norm',
  key: 'self_attn.k_norm',
  scope: 'head',
  order: 'before-rotary',
} as const;

export const projectionNorm = { ...perHeadNorm, scope: 'projection' } as const;

/** The norm before the feed-forward part of most families. */
export const postAttentionNorm = { name: 'post_attention_layernorm' } as const satisfies BlockNormRecord;

/** A decoder whose MoE blocks can be measured and changed while its full forward cannot run, and why. */
export function blockOnly(reason: string, blockNorm: BlockNormRecord): UnsupportedDecoder {
  return { supported: false, reason, blockNorm };
}

/** What a multi-modal checkpoint is measured with. */
export const textOnly = 'Only the text model is measured; the other modalities take no part.';

/** Pre-norm decoder with RMS norms and a dense `mlp` where a layer has no experts. */
export const standardDecoder = {
  supported: true,
  mixer: standardAttention,
  norms: { kind: 'rms', mixer: 'input_layernorm', feedForward: 'post_attention_layernorm', placement: 'pre' },
  defaultEpsilon: 1e-6,
  dense: gatedNetwork('mlp'),
} as const satisfies DecoderRecord;

/** Softmax over all experts, top-k, divided by the sum where `norm_topk_prob` says so. */
export const softmaxRouter = {
  weight: 'mlp.gate.weight',
  score: 'softmax',
  gates: { kind: 'sum', epsilon: 0, when: { keys: ['norm_topk_prob'], absent: false } },
} as const satisfies RouterRecord;

/** DeepSeek-V3's router: sigmoid, selection bias, best groups, renormalised, scaled. */
export const sigmoidGroupRouter = {
  weight: 'mlp.gate.weight',
  selectionBias: 'mlp.gate.e_score_correction_bias',
  score: 'sigmoid',
  groups: { countKeys: ['n_group'], keptKeys: ['topk_group'], score: 'top2-sum', fill: 'negative-infinity' },
  gates: { kind: 'sum', epsilon: 1e-20, when: { keys: ['norm_topk_prob'], absent: true } },
  scaleKeys: ['routed_scaling_factor'],
} as const satisfies RouterRecord;
