import { networkParameters } from '../families/networkParameters';
import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import { allBits } from '../methods/quantize/bitSizes';
import { plannedGroups } from '../methods/quantize/projectionGroups';
import type { PlanQuantize } from '../protocol/plan';
import { plannedBits } from '../transform/quantizeBits';
import { bitTotals } from './quantizeReport';

const bitsPerByte = 8;

/** Bytes of the routed experts as the checkpoint stores them. */
export function storedExpertBytes(blocks: readonly MoeBlockSpec[]): number {
  return specTensors(blocks.map(({ experts }) => experts)).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/**
 * Bytes of the routed experts that a plan leaves, stored as the plan says: codes, scales and zero points where it rounds them, else
 * as the checkpoint stores them, biases always. What the engine computes with may be wider.
 * @param original blocks of the checkpoint
 * @param left blocks as the plan leaves them, in the same order
 * @throws TunerError `malformedPlan` where the bits of the section do not fit the experts that are left
 */
export function plannedExpertBytes(
  original: readonly MoeBlockSpec[],
  left: readonly MoeBlockSpec[],
  quantize: PlanQuantize | undefined,
  planFile: string,
): number {
  const bits = quantize === undefined ? undefined : plannedBits(quantize.layers, left, planFile);
  return original.reduce((sum, block, at) => {
    const stored = (storedExpertBytes([block]) / block.experts.length) * left[at]!.experts.length;
    if (quantize === undefined || bits === undefined) {
      return sum + stored;
    }
    const format = { groups: plannedGroups(quantize), symmetric: quantize.symmetric };
    const rounded = bitTotals(left[at]!, bits[at]!, format);
    const parameters = networkParameters(block.experts[0]!) * left[at]!.experts.length;
    return sum + allBits(rounded) / bitsPerByte + stored * (1 - rounded.weights / parameters);
  }, 0);
}
