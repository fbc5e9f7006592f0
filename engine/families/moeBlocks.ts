import type { ModelSpec, MoeBlockSpec } from './specification';

/** The MoE blocks of a decoder, in the order of its layers. */
export function moeBlocks({ layers }: Pick<ModelSpec, 'layers'>): MoeBlockSpec[] {
  return layers.flatMap(({ feedForward }) => (feedForward.kind === 'moe' ? [feedForward.block] : []));
}
