import type { MoeBlockSpec } from '../families/specification';

/** A block with a factor on the output of its routed experts, on top of one it has. The same block for the factor 1 or none. */
export function scaledBlock(block: MoeBlockSpec, factor: number | undefined): MoeBlockSpec {
  return factor === undefined || factor === 1 ? block : { ...block, routedScale: (block.routedScale ?? 1) * factor };
}

/** A block whose routed output is multiplied by a factor that depends on how many experts are active: `scales[k - 1]`. */
export function blockScaledByActive(block: MoeBlockSpec, scales: readonly number[]): MoeBlockSpec {
  return { ...block, routedScales: scales };
}
