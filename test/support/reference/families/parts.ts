import { gatedBy } from '../activations';
import {
  causal,
  groupedQueryAttention,
  slidingWindow,
  type GroupedQueryAttention,
  type Mixer,
  type Visibility,
} from '../attention';
import type { ReferenceCheckpoint } from '../checkpoint';
import { embedding, type DecoderLayer, type DecoderModel } from '../decoder';
import { namedNetwork, type GatedNetwork } from '../experts';
import { applyLinear, scaled } from '../linear';
import { rmsNorm, type Norm } from '../norms';
import { makeRope, readRopeParameters, type Rope } from '../rope';

/** Head counts and widths as nearly every configuration writes them. */
export function headShape(checkpoint: ReferenceCheckpoint) {
  const { config } = checkpoint;
  const heads = config.number('num_attention_heads');
  return {
    heads,
    keyValueHeads: config.number('num_key_value_heads', heads),
    headDim: config.number('head_dim', config.number('hidden_size') / heads),
  };
}

/** The rotary embedding over the (partial) head dimension. */
export function headRope(
  checkpoint: ReferenceCheckpoint,
  length: number,
  theta: number,
  options: {
    readonly pairs?: Rope['pairs'];
    readonly partialRotaryFactor?: number;
    /** For configurations with parameters by layer type. */
    readonly layerType?: string;
  } = {},
): Rope {
  const parameters = readRopeParameters(checkpoint.config, {
    theta,
    partialRotaryFactor: options.partialRotaryFactor ?? 1,
    ...(options.layerType === undefined ? {} : { layerType: options.layerType }),
  });
  const dimensions = Math.trunc(headShape(checkpoint).headDim * parameters.partialRotaryFactor);
  return makeRope(parameters, dimensions, length, options.pairs ?? 'half');
}

/** Grouped-query attention under `<layer>.self_attn` with the usual projection names; options override any part. */
export function standardAttention(
  checkpoint: ReferenceCheckpoint,
  layer: number,
  rope: Rope | undefined,
  options: Partial<GroupedQueryAttention> & { readonly outputName?: string } = {},
): Mixer {
  const prefix = `${checkpoint.layer(layer)}.self_attn`;
  const shape = headShape(checkpoint);
  return groupedQueryAttention({
    query: checkpoint.linear(`${prefix}.q_proj`),
    key: checkpoint.linear(`${prefix}.k_proj`),
    value: checkpoint.linear(`${prefix}.v_proj`),
    output: checkpoint.linear(`${prefix}.${options.outputName ?? 'o_proj'}`),
    ...shape,
    scale: shape.headDim ** -0.5,
    visible: causal,
    rope,
    ...options,
  });
}

/** Norms of queries and keys under `<layer>.self_attn`, before the rotation unless told otherwise. */
export function queryKeyNorms(
  checkpoint: ReferenceCheckpoint,
  layer: number,
  epsilon: number,
  options: {
    readonly over: 'projection' | 'head';
    readonly when?: 'beforeRope' | 'afterRope';
    readonly names?: readonly [query: string, key: string];
  },
) {
  const [query, key] = options.names ?? ['q_norm', 'k_norm'];
  const named = (name: string) =>
    rmsNorm(checkpoint.tensor(`${checkpoint.layer(layer)}.self_attn.${name}.weight`), epsilon);
  return { query: named(query), key: named(key), over: options.over, when: options.when ?? ('beforeRope' as const) };
}

/** The configuration's window on layers called `sliding_attention`. */
export function visibilityOfType(checkpoint: ReferenceCheckpoint, layerType: string): Visibility {
  if (layerType === 'full_attention') return causal;
  if (layerType === 'sliding_attention') return slidingWindow(checkpoint.config.number('sliding_window'));
  throw new Error(`Unknown layer type ${layerType}.`);
}

/** Visibility of models whose `sliding_window` holds for all layers when it is set. */
export function visibilityOfWindow(window: number | undefined): Visibility {
  return window === undefined ? causal : slidingWindow(window);
}

/** An RMS norm stored as `<name>.weight`, with the configuration's epsilon. */
export function namedNorm(checkpoint: ReferenceCheckpoint, name: string, epsilonKey = 'rms_norm_eps'): Norm {
  return rmsNorm(checkpoint.tensor(`${name}.weight`), checkpoint.config.number(epsilonKey));
}

/** `input_layernorm` and `post_attention_layernorm` before the two sub-layers. */
export function preNorms(checkpoint: ReferenceCheckpoint, layer: number) {
  return {
    mixerNorm: namedNorm(checkpoint, `${checkpoint.layer(layer)}.input_layernorm`),
    feedForwardNorm: namedNorm(checkpoint, `${checkpoint.layer(layer)}.post_attention_layernorm`),
  };
}

/** The activation of `hidden_act`. */
export function hiddenActivation(checkpoint: ReferenceCheckpoint) {
  return gatedBy(checkpoint.config.text('hidden_act', 'silu'));
}

/** A dense network with gate, up and down projections, activated by `hidden_act`. */
export function denseNetwork(checkpoint: ReferenceCheckpoint, prefix: string): GatedNetwork {
  return namedNetwork(checkpoint, prefix, hiddenActivation(checkpoint));
}

/** Embedding, layers, final norm and head; the head is the embedding where the checkpoint ties them. */
export function assembleModel(
  checkpoint: ReferenceCheckpoint,
  layer: (index: number) => DecoderLayer,
  options: {
    readonly finalNorm?: Norm;
    readonly embeddingMultiplier?: number;
    readonly logitsMultiplier?: number;
    readonly tiedByDefault?: boolean;
  } = {},
): DecoderModel {
  const { config, prefix } = checkpoint;
  const table = checkpoint.tensor(`${prefix}embed_tokens.weight`);
  const tied = config.flag('tie_word_embeddings', options.tiedByDefault ?? false);
  const headName = `${prefix.replace(/^model\.language_model\.$|model\.$/, '')}lm_head`;
  const head = tied ? { weight: table, bias: undefined } : checkpoint.linear(headName);
  return {
    vocabulary: table.shape[0]!,
    hidden: table.shape[1]!,
    embed: embedding(table, options.embeddingMultiplier),
    layers: Array.from({ length: config.number('num_hidden_layers') }, (_, index) => layer(index)),
    finalNorm: options.finalNorm ?? namedNorm(checkpoint, `${prefix}norm`),
    head: (vector) => scaled(applyLinear(head, vector), options.logitsMultiplier ?? 1),
  };
}
