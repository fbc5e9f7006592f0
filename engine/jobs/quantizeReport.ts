import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import { allBits, bitParts, type BitTotals } from '../methods/quantize/bitSizes';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import { projections, type ExpertBits, type Projection } from '../methods/quantize/quantizers';
import type { QuantizedLayer } from '../protocol/quantization';
import { projectionShapes, shortestBits } from '../transform/quantizeBits';
import { readFeedForward } from '../transform/readWeight';

/** How codes and scales are stored. */
export interface StoredFormat {
  readonly groups: ProjectionGroups;
  readonly symmetric: boolean;
}

/** How the weights of some experts are rounded, added up; weights that stay as they are do not count. */
export function bitTotals(
  block: MoeBlockSpec,
  bits: readonly ExpertBits[],
  { groups, symmetric }: StoredFormat,
): BitTotals {
  const parts: BitTotals[] = [];
  for (const [expert, chosen] of bits.entries()) {
    const shapes = projectionShapes(block.experts[expert]!);
    for (const projection of projections) {
      const shape = shapes[projection];
      const width = chosen[projection];
      if (shape !== undefined && width !== 16) {
        parts.push(bitParts({ weights: shape[0] * shape[1], bits: width, group: groups[projection], symmetric }));
      }
    }
  }
  return addTotals(parts);
}

export function addTotals(totals: readonly BitTotals[]): BitTotals {
  const sum = (field: keyof BitTotals) => totals.reduce((total, one) => total + one[field], 0);
  return {
    weights: sum('weights'),
    codeBits: sum('codeBits'),
    scaleBits: sum('scaleBits'),
    zeroPointBits: sum('zeroPointBits'),
  };
}

/** Bytes that the rounded weights take in the checkpoint now. */
export function originalBytes(block: MoeBlockSpec, bits: readonly ExpertBits[]): number {
  let total = 0;
  for (const [expert, chosen] of bits.entries()) {
    const network = block.experts[expert]!;
    const bytes = specTensors(network).reduce((sum, entry) => sum + entry.byteLength, 0);
    const shapes = projectionShapes(network);
    const sizes = projections.map(
      (projection) => (shapes[projection] ?? [0, 0])[0] * (shapes[projection] ?? [0, 0])[1],
    );
    const all = sizes.reduce((sum, size) => sum + size, 0);
    const rounded = sizes.reduce((sum, size, at) => sum + (chosen[projections[at]!] === 16 ? 0 : size), 0);
    total += (bytes * rounded) / all;
  }
  return Math.round(total);
}

/** What the report says about one layer; errors are read back from the rounded weights. */
export async function quantizedLayer(
  original: MoeBlockSpec,
  rounded: MoeBlockSpec,
  bits: readonly ExpertBits[],
  format: StoredFormat,
  uncovered: readonly number[],
): Promise<QuantizedLayer> {
  const totals = bitTotals(original, bits, format);
  const errors: Record<Projection, [number, number]> = { gate: [0, 0], up: [0, 0], down: [0, 0] };
  for (const [expert, network] of original.experts.entries()) {
    if (rounded.experts[expert] === network) {
      continue;
    }
    const [before, after] = [await readFeedForward(network), await readFeedForward(rounded.experts[expert]!)];
    for (const projection of projections) {
      const [left, right] = [before[projection], after[projection]];
      if (left !== undefined && right !== undefined) {
        addErrors(left, right, errors[projection]);
      }
    }
  }
  const share = ([error, size]: [number, number]) => (size > 0 ? error / size : 0);
  return {
    index: original.layer,
    averageBits: totals.weights > 0 ? totals.codeBits / totals.weights : 16,
    effectiveBits: totals.weights > 0 ? allBits(totals) / totals.weights : 16,
    bytes: Math.ceil(allBits(totals) / 8),
    bits: shortestBits([bits])[0]!,
    relativeError: {
      ...(errors.gate[1] > 0 ? { gate: share(errors.gate) } : {}),
      up: share(errors.up),
      down: share(errors.down),
    },
    uncovered: [...uncovered],
  };
}

function addErrors(before: Float32Array, after: Float32Array, sums: [number, number]): void {
  for (let at = 0; at < before.length; at += 1) {
    sums[0] += (before[at]! - after[at]!) ** 2;
    sums[1] += before[at]! ** 2;
  }
}
