import type { PlanQuantize } from '../../protocol/plan';
import type { Projection } from './quantizers';

/** Weights that share a scale, per projection. Gate and up run as one product, so theirs are equal. */
export type ProjectionGroups = Readonly<Record<Projection, number>>;

/** Groups of gate and up, and of down. */
export function projectionGroups(gateUp: number, down = gateUp): ProjectionGroups {
  return { gate: gateUp, up: gateUp, down };
}

/** The groups a plan gives its projections. */
export function plannedGroups({ group, groups }: Pick<PlanQuantize, 'group' | 'groups'>): ProjectionGroups {
  return projectionGroups(group, groups?.down);
}

/** In words, for reports and messages: "128", or "128 (down 80)". */
export function groupText({ gate, down }: ProjectionGroups): string {
  return gate === down ? String(gate) : `${gate} (down ${down})`;
}
