import { uniformSource, type TinyTensor } from './randomTensors';

/** A random checkpoint of one family: everything that goes into its folder. */
export interface TinyCheckpoint {
  /** Unique name: the family, and what is special about this variant. */
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly TinyTensor[];
  /** Chosen so that no router comes near a tie on {@link tinyTokens}. */
  readonly seed: number;
}

/** Sizes that nearly all tiny checkpoints share. */
export const tiny = {
  vocabulary: 128,
  hidden: 64,
  layers: 4,
  heads: 4,
  keyValueHeads: 2,
  headDim: 16,
  dense: 96,
  expert: 32,
  experts: 8,
  activeExperts: 3,
} as const;

/** Keys that nearly all configurations share. */
export const commonConfig = {
  vocab_size: tiny.vocabulary,
  hidden_size: tiny.hidden,
  num_hidden_layers: tiny.layers,
  num_attention_heads: tiny.heads,
  num_key_value_heads: tiny.keyValueHeads,
  hidden_act: 'silu',
  max_position_embeddings: 512,
  tie_word_embeddings: false,
  torch_dtype: 'float32',
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
} as const;

/** Two sequences of 48 tokens. */
export const tinyTokens: readonly (readonly number[])[] = [0, 1].map((sequence) => {
  const uniform = uniformSource('tokens', sequence);
  return Array.from({ length: 48 }, () => 3 + Math.floor(uniform() * (tiny.vocabulary - 3)));
});

export function weight(name: string, outputs: number, inputs: number): TinyTensor {
  return { name: `${name}.weight`, shape: [outputs, inputs], role: 'weight' };
}

export function bias(name: string, outputs: number): TinyTensor {
  return { name: `${name}.bias`, shape: [outputs], role: 'bias' };
}

/** A weight, and its bias when asked for. */
export function linear(name: string, outputs: number, inputs: number, withBias = false): TinyTensor[] {
  return [weight(name, outputs, inputs), ...(withBias ? [bias(name, outputs)] : [])];
}

export function norm(name: string, width: number = tiny.hidden): TinyTensor {
  return { name: `${name}.weight`, shape: [width], role: 'norm' };
}

export function router(name: string, experts: number = tiny.experts, storage: 'BF16' | 'F32' = 'BF16'): TinyTensor {
  return { name: `${name}.weight`, shape: [experts, tiny.hidden], role: 'router', storage };
}

/** Gate, up and down of a dense or shared network. */
export function network(
  prefix: string,
  width: number,
  options: { readonly names?: readonly [string, string, string]; readonly bias?: boolean } = {},
): TinyTensor[] {
  const [gate, up, down] = options.names ?? ['gate_proj', 'up_proj', 'down_proj'];
  return [
    ...linear(`${prefix}.${gate}`, width, tiny.hidden, options.bias),
    ...linear(`${prefix}.${up}`, width, tiny.hidden, options.bias),
    ...linear(`${prefix}.${down}`, tiny.hidden, width, options.bias),
  ];
}

/** Names of the layout in which w1 is the gate, w3 goes up and w2 down. */
export const wNames = ['w1', 'w3', 'w2'] as const;

/** Separate experts `<prefix>.{e}.…`. */
export function experts(
  prefix: string,
  options: {
    readonly count?: number;
    readonly width?: number;
    readonly names?: readonly [string, string, string];
  } = {},
): TinyTensor[] {
  return Array.from({ length: options.count ?? tiny.experts }, (_, expert) =>
    network(
      `${prefix}.${expert}`,
      options.width ?? tiny.expert,
      options.names === undefined ? {} : { names: options.names },
    ),
  ).flat();
}

/** Grouped-query projections under `<layer>.self_attn`. */
export function attention(
  layer: string,
  options: {
    readonly headDim?: number;
    readonly keyValueHeads?: number;
    readonly bias?: boolean;
    readonly outputBias?: boolean;
    readonly outputName?: string;
    readonly norms?: { readonly names: readonly [string, string]; readonly over: 'head' | 'projection' };
  } = {},
): TinyTensor[] {
  const headDim = options.headDim ?? tiny.headDim;
  const queryWidth = tiny.heads * headDim;
  const keyWidth = (options.keyValueHeads ?? tiny.keyValueHeads) * headDim;
  const prefix = `${layer}.self_attn`;
  const norms = options.norms;
  return [
    ...linear(`${prefix}.q_proj`, queryWidth, tiny.hidden, options.bias),
    ...linear(`${prefix}.k_proj`, keyWidth, tiny.hidden, options.bias),
    ...linear(`${prefix}.v_proj`, keyWidth, tiny.hidden, options.bias),
    ...linear(`${prefix}.${options.outputName ?? 'o_proj'}`, tiny.hidden, queryWidth, options.outputBias),
    ...(norms === undefined
      ? []
      : [
          norm(`${prefix}.${norms.names[0]}`, norms.over === 'head' ? headDim : queryWidth),
          norm(`${prefix}.${norms.names[1]}`, norms.over === 'head' ? headDim : keyWidth),
        ]),
  ];
}

/** The two norms before the sub-layers. */
export function preNorms(layer: string): TinyTensor[] {
  return [norm(`${layer}.input_layernorm`), norm(`${layer}.post_attention_layernorm`)];
}

/** Embedding, layers `<prefix>layers.{i}`, final norm, and the head unless it is tied. */
export function decoder(
  layer: (name: string, index: number) => TinyTensor[],
  options: {
    readonly prefix?: string;
    readonly tied?: boolean;
    readonly finalNorm?: string;
    readonly head?: TinyTensor[];
  } = {},
): TinyTensor[] {
  const prefix = options.prefix ?? 'model.';
  return [
    { name: `${prefix}embed_tokens.weight`, shape: [tiny.vocabulary, tiny.hidden], role: 'embedding' },
    ...Array.from({ length: tiny.layers }, (_, index) => layer(`${prefix}layers.${index}`, index)).flat(),
    norm(`${prefix}${options.finalNorm ?? 'norm'}`),
    ...(options.tied === true ? [] : (options.head ?? [weight('lm_head', tiny.vocabulary, tiny.hidden)])),
  ];
}
