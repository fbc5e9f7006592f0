import {
  attention,
  commonConfig,
  decoder,
  experts,
  preNorms,
  router,
  tiny,
  wNames,
  type TinyCheckpoint,
} from '../tinyCheckpoint';

const base = {
  ...commonConfig,
  architectures: ['MixtralForCausalLM'],
  model_type: 'mixtral',
  intermediate_size: tiny.expert,
  num_local_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  rms_norm_eps: 1e-5,
  sliding_window: null,
  rope_theta: 10000,
};

/** LongRoPE factors for the eight pairs of a 16-wide head. */
export const longRopeFactors = {
  short_factor: [1, 1.02, 1.05, 1.1, 1.2, 1.4, 1.7, 2],
  long_factor: [1, 1.1, 1.4, 2, 3, 4, 6, 8],
};

/** Every kind of rotary scaling is shown on this family; older files write it as `rope_scaling`. */
const ropeVariants: Record<string, Record<string, unknown>> = {
  'linear-rope': { rope_scaling: { type: 'linear', factor: 4 } },
  'dynamic-rope': { rope_scaling: { type: 'dynamic', factor: 3 }, max_position_embeddings: 24 },
  'dynamic-rope-short': { rope_scaling: { type: 'dynamic', factor: 3 } },
  'llama3-rope': {
    rope_parameters: {
      rope_type: 'llama3',
      rope_theta: 10000,
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 128,
    },
  },
  'yarn-rope': {
    rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128, beta_fast: 4, beta_slow: 1 },
  },
  'yarn-rope-attention-factor': {
    rope_parameters: {
      rope_type: 'yarn',
      rope_theta: 10000,
      factor: 4,
      original_max_position_embeddings: 128,
      attention_factor: 1.3,
      truncate: false,
    },
  },
  'longrope-short': {
    rope_scaling: { rope_type: 'longrope', ...longRopeFactors },
    original_max_position_embeddings: 64,
  },
  'longrope-long': {
    rope_scaling: { rope_type: 'longrope', factor: 4, original_max_position_embeddings: 32, ...longRopeFactors },
  },
};

function checkpoint(name: string, changes: Record<string, unknown>, seed: number): TinyCheckpoint {
  const config = { ...base, ...changes };
  const headDim = 'head_dim' in changes ? (changes.head_dim as number) : tiny.headDim;
  return {
    name: `mixtral${name}`,
    config,
    seed,
    tensors: decoder(
      (layer) => [
        ...preNorms(layer),
        ...attention(layer, { headDim }),
        router(`${layer}.block_sparse_moe.gate`),
        ...experts(`${layer}.block_sparse_moe.experts`, { names: wNames }),
      ],
      { tied: config.tie_word_embeddings },
    ),
  };
}

/** The first seed of the rotary variants, one after the other. */
const ropeSeed = 129;

export const mixtral: readonly TinyCheckpoint[] = [
  checkpoint('', {}, 1001),
  checkpoint('-sliding-window', { sliding_window: 16 }, 2002),
  checkpoint('-tied', { tie_word_embeddings: true }, 1003),
  checkpoint('-wide-heads', { head_dim: 24 }, 1004),
  ...Object.entries(ropeVariants).map(([name, changes], index) =>
    checkpoint(`-${name}`, { head_dim: tiny.headDim, ...changes }, ropeSeed + index),
  ),
];
