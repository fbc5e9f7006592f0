import type { MoeBlockSpec, RouterSpec, SharedExpertSpec } from '../../families/specification';
import type { GateForm, GgufArchitecture } from './architectures';

/** Numbers of the gating functions in files (`llama_expert_gating_func_type`). */
export const gatingNumbers = { softmax: 1, sigmoid: 2 } as const;

/** The form of a router's gates, or undefined where llama.cpp has none like it. */
export function gateForm({ score, gates }: RouterSpec): GateForm | undefined {
  const divided = gates.kind === 'sum' || gates.kind === 'clamped-sum';
  switch (score) {
    case 'softmax':
    case 'sigmoid':
      return gates.kind === 'score' ? score : divided ? `${score}-sum` : undefined;
    case 'logits':
      return gates.kind === 'softmax-chosen' ? 'softmax-chosen' : undefined;
    case 'sqrt-softplus':
      return undefined;
  }
}

/**
 * The form that the architecture computes a router with. A softmax over the chosen logits is a softmax over all that is divided by the
 * sum of the chosen.
 */
export function computedForm(architecture: GgufArchitecture, router: RouterSpec): GateForm | undefined {
  const form = gateForm(router);
  const forms: readonly (GateForm | undefined)[] =
    form === 'softmax-chosen' ? ['softmax-chosen', 'softmax-sum'] : [form];
  return architecture.gates.find((known) => forms.includes(known));
}

/** The network that every token goes through, inside the block or beside it: llama.cpp adds both alike. */
export function sharedNetwork(block: MoeBlockSpec): SharedExpertSpec | undefined {
  return block.shared ?? block.beside;
}
