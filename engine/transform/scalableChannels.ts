import type { MoeBlockSpec } from '../families/specification';

/**
 * Whether a factor on a row of up, undone on the column of down, leaves the experts as they are: true where the activation is
 * linear in up. Clipped and shifted activations are not, and those without a gate projection are not linear at all.
 */
export function scalableChannels({ activation }: MoeBlockSpec): boolean {
  return activation.kind === 'silu-gated' || activation.kind === 'gelu-gated' || activation.kind === 'relu-gated';
}
