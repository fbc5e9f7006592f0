import type { ObjectiveName } from '../../protocol/budget';
import { allocL } from './allocL';
import { calibrated } from './calibrated';
import { endToEnd, type MeasuredObjective } from './endToEnd';
import { gamma } from './gamma';
import { lexi } from './lexi';
import { maple } from './maple';
import type { Objective } from './objective';
import { random } from './random';
import { relativeSquared } from './relativeSquared';
import { squared } from './squared';
import { uniform } from './uniform';

/** Not an objective of its own: candidates of several objectives are measured, searched from, and the best is taken. */
export interface AutomaticObjective {
  readonly kind: 'automatic';
  readonly name: string;
  readonly title: string;
  readonly source: string;
}

const auto: AutomaticObjective = {
  kind: 'automatic',
  name: 'auto',
  title: 'Best measured of all',
  source: 'measured KL divergence on calibration text, exact solutions and pairwise search',
};

export type AnyObjective = Objective | MeasuredObjective | AutomaticObjective;

/** Every objective the protocol names. A new one is a file beside this one and a line here. */
export const objectives = {
  auto,
  'end-to-end': endToEnd,
  'alloc-l': allocL,
  maple,
  calibrated,
  gamma,
  'relative-squared': relativeSquared,
  squared,
  lexi,
  uniform,
  random,
} as const satisfies Record<ObjectiveName, AnyObjective>;

/** The objective of a name, typed as the general case. */
export function objectiveNamed(name: ObjectiveName): AnyObjective {
  return objectives[name];
}
