/** How llama.cpp turns router logits into gates: the score, and what happens to the chosen ones. */
export type GateForm = 'softmax' | 'softmax-sum' | 'sigmoid' | 'sigmoid-sum' | 'softmax-chosen';

/**
 * What the code of one architecture in llama.cpp computes and reads (src/models and src/llama-model.cpp, release v0.5.0). A model that
 * needs anything else would load and compute something else, so it is refused.
 */
export interface GgufArchitecture {
  readonly name: string;
  /** Values of a head that rotary embedding turns together: (i, i + half) or (2i, 2i + 1). */
  readonly pairing: 'half' | 'interleaved';
  readonly attention: 'grouped-query' | 'latent';
  /** Norms of queries and keys: over a head, over the projection; `optional` where the loader does without. */
  readonly queryKeyNorm?: {
    readonly scope: 'head' | 'projection';
    readonly order: 'before-rotary' | 'after-rotary';
    readonly optional?: boolean;
  };
  /** Gates that the code computes; with more than one the file says which. */
  readonly gates: readonly GateForm[];
  /** Whether the loader reads a factor of the gates. */
  readonly gateScale?: boolean;
  /** Whether the loader reads biases for the choice of experts. */
  readonly selectionBias?: 'read' | 'required';
  readonly shared?: 'plain' | 'sigmoid-gated' | 'plain or none';
  /** Whether the first layers may be dense. */
  readonly leadingDense?: boolean;
  /** Name of the norm before the feed-forward network. */
  readonly feedForwardNorm?: 'post_attention_norm';
  /** Whether a missing head means that it is the embedding. */
  readonly sharesHead?: boolean;
  /** Embedding, residual, logit and attention multipliers are read (Granite). */
  readonly multipliers?: boolean;
  /** Attention sinks, biases everywhere, alternating windows and the clamped activation (gpt-oss). */
  readonly gptOss?: boolean;
  /** Biases of the attention output. */
  readonly outputBias?: boolean;
  /** Whether every query head has a key of its own. */
  readonly equalHeads?: boolean;
  /** Tensor with the factors of Llama 3's rotary scaling is read. */
  readonly rotaryFactors?: boolean;
}

const sums = ['softmax', 'softmax-sum', 'sigmoid', 'sigmoid-sum'] as const;
const headNorm = { scope: 'head', order: 'before-rotary' } as const;

/** Granite's networks, with and without a shared expert. */
const granite: GgufArchitecture = {
  name: 'granitemoe',
  pairing: 'interleaved',
  attention: 'grouped-query',
  gates: ['softmax-sum'],
  shared: 'plain or none',
  sharesHead: true,
  multipliers: true,
  outputBias: true,
  rotaryFactors: true,
};

/** Families that are written as GGUF files, by family name. */
export const ggufArchitectures: Readonly<Record<string, GgufArchitecture>> = {
  olmoe: {
    name: 'olmoe',
    pairing: 'half',
    attention: 'grouped-query',
    queryKeyNorm: { scope: 'projection', order: 'before-rotary' },
    gates: ['softmax'],
  },
  qwen2_moe: {
    name: 'qwen2moe',
    pairing: 'half',
    attention: 'grouped-query',
    gates: ['softmax'],
    shared: 'sigmoid-gated',
    outputBias: true,
  },
  qwen3_moe: {
    name: 'qwen3moe',
    pairing: 'half',
    attention: 'grouped-query',
    queryKeyNorm: headNorm,
    gates: ['softmax-sum'],
    sharesHead: true,
    outputBias: true,
  },
  mixtral: {
    name: 'llama',
    pairing: 'interleaved',
    attention: 'grouped-query',
    gates: ['softmax-sum'],
    sharesHead: true,
    outputBias: true,
    rotaryFactors: true,
  },
  granitemoe: granite,
  granitemoeshared: granite,
  glm4_moe: {
    name: 'glm4moe',
    pairing: 'half',
    attention: 'grouped-query',
    queryKeyNorm: { ...headNorm, optional: true },
    gates: sums,
    gateScale: true,
    selectionBias: 'read',
    shared: 'plain or none',
    leadingDense: true,
    feedForwardNorm: 'post_attention_norm',
    sharesHead: true,
  },
  dots1: {
    name: 'dots1',
    pairing: 'half',
    attention: 'grouped-query',
    equalHeads: true,
    queryKeyNorm: headNorm,
    gates: sums,
    gateScale: true,
    selectionBias: 'read',
    shared: 'plain',
    leadingDense: true,
  },
  deepseek: {
    name: 'deepseek',
    pairing: 'interleaved',
    attention: 'grouped-query',
    gates: ['softmax'],
    gateScale: true,
    shared: 'plain',
    leadingDense: true,
    sharesHead: true,
  },
  deepseek_v2: {
    name: 'deepseek2',
    pairing: 'interleaved',
    attention: 'latent',
    gates: sums,
    gateScale: true,
    selectionBias: 'read',
    shared: 'plain',
    leadingDense: true,
    sharesHead: true,
  },
  deepseek_v3: {
    name: 'deepseek2',
    pairing: 'interleaved',
    attention: 'latent',
    gates: sums,
    gateScale: true,
    selectionBias: 'read',
    shared: 'plain',
    leadingDense: true,
    sharesHead: true,
  },
  hunyuan_v1_moe: {
    name: 'hunyuan-moe',
    pairing: 'half',
    attention: 'grouped-query',
    queryKeyNorm: { scope: 'head', order: 'after-rotary' },
    gates: ['softmax-sum'],
    shared: 'plain',
    sharesHead: true,
  },
  minimax_m2: {
    name: 'minimax-m2',
    pairing: 'half',
    attention: 'grouped-query',
    queryKeyNorm: { scope: 'projection', order: 'before-rotary' },
    gates: ['softmax-sum', 'sigmoid-sum'],
    selectionBias: 'required',
  },
  gpt_oss: {
    name: 'gpt-oss',
    pairing: 'half',
    attention: 'grouped-query',
    gates: ['softmax-chosen'],
    feedForwardNorm: 'post_attention_norm',
    gptOss: true,
    outputBias: true,
  },
};
