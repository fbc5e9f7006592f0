import type { Mixer } from './attention';
import { applyGatedNetwork, type GatedNetwork } from './experts';
import { addScaled, scaled } from './linear';
import { applyMoeBlock, type MoeBlock } from './moeBlock';
import type { Norm } from './norms';

/** One decoder layer. Absent norms pass their input through. */
export interface DecoderLayer {
  readonly mixerNorm?: Norm;
  readonly mixer: Mixer;
  readonly mixerOutputNorm?: Norm;
  readonly feedForwardNorm?: Norm;
  readonly feedForward: MoeBlock | GatedNetwork;
  /** A dense network added to the mixture's output outside the block (GraniteMoE shared). */
  readonly besideFeedForward?: GatedNetwork | undefined;
  readonly feedForwardOutputNorm?: Norm;
  /** Factor on both sub-layers before they join the residual stream. */
  readonly residualMultiplier?: number;
}

export interface DecoderModel {
  readonly vocabulary: number;
  readonly hidden: number;
  /** The embedding of a token, multipliers applied. */
  readonly embed: (token: number) => Float64Array;
  readonly layers: readonly DecoderLayer[];
  readonly finalNorm: Norm;
  /** Logits of one normalized hidden state, scaling applied. */
  readonly head: (vector: Float64Array) => Float64Array;
}

/** Called for every token that enters a mixture block. */
export type BlockObserver = (layer: number, input: Float64Array, output: Float64Array, margin: number) => void;

export function isMoeBlock(feedForward: DecoderLayer['feedForward']): feedForward is MoeBlock {
  return 'experts' in feedForward;
}

/** Logits `[vocabulary]` at each position of one sequence. */
export function forwardSequence(
  model: DecoderModel,
  tokens: readonly number[],
  activeExperts: (layer: number, block: MoeBlock) => number,
  observe: BlockObserver,
): Float64Array[] {
  let stream = tokens.map(model.embed);
  model.layers.forEach((layer, index) => {
    const multiplier = layer.residualMultiplier ?? 1;
    const mixed = layer.mixer(stream.map(layer.mixerNorm ?? identity)).map(layer.mixerOutputNorm ?? identity);
    stream = stream.map((vector, position) => addScaled(vector, mixed[position]!, multiplier));
    stream = stream.map((vector) => {
      const input = (layer.feedForwardNorm ?? identity)(vector);
      const output = (layer.feedForwardOutputNorm ?? identity)(
        feedForward(layer, index, input, activeExperts, observe),
      );
      return addScaled(vector, output, multiplier);
    });
  });
  return stream.map((vector) => model.head(model.finalNorm(vector)));
}

function feedForward(
  layer: DecoderLayer,
  index: number,
  input: Float64Array,
  activeExperts: (layer: number, block: MoeBlock) => number,
  observe: BlockObserver,
): Float64Array {
  if (!isMoeBlock(layer.feedForward)) return applyGatedNetwork(layer.feedForward, input);
  const { output, routing } = applyMoeBlock(layer.feedForward, input, activeExperts(index, layer.feedForward));
  observe(index, input, output, routing.margin);
  const beside = layer.besideFeedForward;
  return beside === undefined ? output : addScaled(output, applyGatedNetwork(beside, input));
}

function identity(vector: Float64Array): Float64Array {
  return vector;
}

/** Embedding rows times a multiplier. */
export function embedding(table: { readonly shape: readonly number[]; readonly data: Float64Array }, multiplier = 1) {
  const width = table.shape[1]!;
  return (token: number) => scaled(table.data.slice(token * width, (token + 1) * width), multiplier);
}
