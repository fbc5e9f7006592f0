import type { DecoderLayerSpec, MoeBlockSpec } from './specification';

/** A decoder layer with another MoE block, and the norm that this block needs before it. The same layer where the block is its own. */
export function layerWithBlock(layer: DecoderLayerSpec, block: MoeBlockSpec): DecoderLayerSpec {
  return layer.feedForward.kind === 'moe' && layer.feedForward.block === block
    ? layer
    : {
        ...layer,
        feedForward: { kind: 'moe', block },
        feedForwardNorm: block.inputNorm ?? layer.feedForwardNorm,
      };
}
