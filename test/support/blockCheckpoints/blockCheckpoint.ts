import type { MoeBlock } from '../reference/moeBlock';
import type { ReferenceCheckpoint } from '../reference/checkpoint';
import type { TinyTensor } from '../tinyCheckpoints/randomTensors';
import { tiny, type TinyCheckpoint } from '../tinyCheckpoints/tinyCheckpoint';

/** A checkpoint that holds only MoE blocks, and what the block of a layer is in the terms of the slow reference. */
export interface BlockCheckpoint extends TinyCheckpoint {
  /** Stem of a decoder layer, with `{layer}`. */
  readonly stem: string;
  readonly reference: (checkpoint: ReferenceCheckpoint, stem: string, layer: number) => ReferenceBlock;
}

/** The reference block, and what families add that the reference's own block has no place for. */
export interface ReferenceBlock {
  readonly block: MoeBlock;
  /** Applied to the block's output for one token. */
  readonly finish?: (output: Float64Array) => Float64Array;
}

/** The first layer has a dense network, where only experts are looked for; the others have experts. */
export const blockLayers = 3;

export const blockConfig = {
  vocab_size: 16,
  hidden_size: tiny.hidden,
  num_hidden_layers: blockLayers,
  intermediate_size: tiny.dense,
  moe_intermediate_size: tiny.expert,
  hidden_act: 'silu',
  num_experts_per_tok: tiny.activeExperts,
} as const;

/** A block checkpoint of one family; `tensors` are those of one layer. */
export function blockCheckpoint(
  name: string,
  seed: number,
  config: Record<string, unknown>,
  tensors: (stem: string) => TinyTensor[],
  reference: BlockCheckpoint['reference'],
  stem = 'model.layers.{layer}.',
): BlockCheckpoint {
  const nested = 'text_config' in config;
  return {
    name,
    seed,
    stem,
    config: nested
      ? { ...config, text_config: { ...blockConfig, ...(config.text_config as object) } }
      : { ...blockConfig, ...config },
    tensors: Array.from({ length: blockLayers }, (_, layer) =>
      layer === 0
        ? [{ name: `${stem.replace('{layer}', '0')}norm.weight`, shape: [tiny.hidden], role: 'norm' as const }]
        : tensors(stem.replace('{layer}', String(layer))),
    ).flat(),
    reference,
  };
}
