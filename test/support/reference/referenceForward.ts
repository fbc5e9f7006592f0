import { ReferenceCheckpoint } from './checkpoint';
import { forwardSequence, isMoeBlock, type DecoderModel } from './decoder';
import { buildModel } from './families';
import { applyMoeBlock, type MoeBlock } from './moeBlock';

export interface ReferenceOptions {
  /** k of every mixture block, or of each decoder layer; the configuration's where absent. */
  readonly activeExperts?: number | readonly number[];
}

export interface ReferenceResult {
  /** For each sequence `[tokens * vocabulary]`. */
  readonly logits: readonly Float64Array[];
  /** By decoder layer, what entered the mixture block: `[sequences * tokens * hidden]`. */
  readonly moeInputs: ReadonlyMap<number, Float64Array>;
  /** By decoder layer, what left it. */
  readonly moeOutputs: ReadonlyMap<number, Float64Array>;
  /** The narrowest choice any router made: a float32 run can only be expected to agree when this is not tiny. */
  readonly smallestRoutingMargin: number;
}

/**
 * The slow double-precision forward of a small checkpoint, written from the model definitions alone: an oracle for the
 * engine, with which it shares no code.
 */
export function referenceForward(
  folder: string,
  ids: readonly (readonly number[])[],
  options: ReferenceOptions = {},
): ReferenceResult {
  return forwardModel(referenceModel(folder, Math.max(...ids.map((sequence) => sequence.length))), ids, options);
}

/** {@link referenceForward} of a model that is already assembled. */
export function forwardModel(
  model: DecoderModel,
  ids: readonly (readonly number[])[],
  options: ReferenceOptions = {},
): ReferenceResult {
  const inputs = new Map<number, Float64Array[]>();
  const outputs = new Map<number, Float64Array[]>();
  let smallestRoutingMargin = Infinity;
  const logits = ids.map((sequence) =>
    join(
      forwardSequence(
        model,
        sequence,
        (layer, block) => chosenK(options.activeExperts, layer, block),
        (layer, input, output, margin) => {
          append(inputs, layer, input);
          append(outputs, layer, output);
          smallestRoutingMargin = Math.min(smallestRoutingMargin, margin);
        },
      ),
    ),
  );
  return { logits, moeInputs: joinAll(inputs), moeOutputs: joinAll(outputs), smallestRoutingMargin };
}

/** One mixture block on given tokens `[tokens * hidden]`, with k experts for each. */
export function referenceMoeBlock(folder: string, layer: number, tokens: Float64Array, k: number): Float64Array {
  return forwardBlock(referenceModel(folder, 1), layer, tokens, k);
}

/** {@link referenceMoeBlock} of a model that is already assembled. */
export function forwardBlock(model: DecoderModel, layer: number, tokens: Float64Array, k: number): Float64Array {
  const block = model.layers[layer]?.feedForward;
  if (block === undefined || !isMoeBlock(block)) throw new Error(`Layer ${layer} is no mixture of experts.`);
  const count = tokens.length / model.hidden;
  return join(
    Array.from({ length: count }, (_, token) => {
      const vector = tokens.slice(token * model.hidden, (token + 1) * model.hidden);
      return applyMoeBlock(block, vector, k).output;
    }),
  );
}

/** The assembled model of a folder, for sequences of up to `length` tokens (dynamic RoPE depends on it). */
export function referenceModel(folder: string, length: number): DecoderModel {
  return buildModel(new ReferenceCheckpoint(folder), length);
}

function chosenK(activeExperts: ReferenceOptions['activeExperts'], layer: number, block: MoeBlock): number {
  if (activeExperts === undefined) return block.activeExperts;
  return typeof activeExperts === 'number' ? activeExperts : activeExperts[layer]!;
}

function append(lists: Map<number, Float64Array[]>, key: number, vector: Float64Array): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [vector]);
  else list.push(vector);
}

function joinAll(lists: Map<number, Float64Array[]>): Map<number, Float64Array> {
  return new Map([...lists].map(([key, vectors]) => [key, join(vectors)]));
}

function join(vectors: readonly Float64Array[]): Float64Array {
  const width = vectors[0]?.length ?? 0;
  const result = new Float64Array(width * vectors.length);
  vectors.forEach((vector, index) => result.set(vector, index * width));
  return result;
}
