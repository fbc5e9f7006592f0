import type { MoeBlockSpec } from '../families/specification';
import { gatesInflate, retainedMass } from '../methods/prune/foldedCorrection';
import { selectSums } from '../methods/prune/selectSums';
import type { CalibrationStatistics } from '../methods/statistics';

/**
 * Factor on the routed output per MoE layer that undoes the growth of the gates on average; undefined where no router of the model has
 * growing gates.
 */
export function foldedFactors(
  blocks: readonly MoeBlockSpec[],
  statistics: CalibrationStatistics,
  tags: readonly string[],
  keep: readonly (readonly number[])[],
): number[] | undefined {
  if (!blocks.some(({ router }) => gatesInflate(router))) {
    return undefined;
  }
  return blocks.map(({ router }, position) =>
    gatesInflate(router) ? retainedMass(selectSums(statistics.layers[position]!, tags), keep[position]!) : 1,
  );
}
