import type { GateRule } from './specification';

/** Whether the gates of a token are divided by what its chosen experts score together, so that fewer experts get larger gates. */
export function renormalises(rule: GateRule): boolean {
  return rule.kind === 'sigmoid-chosen' ? rule.divided : rule.kind !== 'score';
}
