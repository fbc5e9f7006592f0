import { specTensors } from '../families/specTensors';
import type { FeedForwardSpec, MoeBlockSpec } from '../families/specification';

const bitsPerByte = 8;

/** Parameters of one network, biases included. */
export function networkParameters(network: FeedForwardSpec): number {
  const maps =
    network.layout === 'gated'
      ? [network.gate, network.up, network.down]
      : network.layout === 'fused-gated'
        ? [network.gateUp, network.down]
        : [network.up, network.down];
  return maps.reduce(
    (sum, { inputSize, outputSize, bias }) => sum + inputSize * outputSize + (bias ? outputSize : 0),
    0,
  );
}

/** Bytes of the routed experts as the checkpoint stores them. */
export function storedExpertBytes(blocks: readonly MoeBlockSpec[]): number {
  return specTensors(blocks.map(({ experts }) => experts)).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/**
 * Bytes of the routed experts that a plan leaves, stored as the plan says: at its bits where it rounds them, else as the checkpoint
 * does. What the engine computes with may be wider.
 * @param original blocks of the checkpoint
 * @param left blocks as the plan leaves them, in the same order
 */
export function plannedExpertBytes(
  original: readonly MoeBlockSpec[],
  left: readonly MoeBlockSpec[],
  effectiveBits: number | undefined,
): number {
  return original.reduce((sum, block, at) => {
    const experts = left[at]?.experts.length ?? block.experts.length;
    const bytes =
      effectiveBits === undefined
        ? storedExpertBytes([block]) / block.experts.length
        : (networkParameters(block.experts[0]!) * effectiveBits) / bitsPerByte;
    return sum + experts * bytes;
  }, 0);
}
