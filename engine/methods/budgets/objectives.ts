import type { ObjectiveName } from '../../protocol/budget';
import { lexi } from './lexi';
import type { Objective } from './objective';
import { random } from './random';
import { relativeSquared } from './relativeSquared';
import { squared } from './squared';
import { uniform } from './uniform';

/** Every objective the protocol names. A new one is a file beside this one and a line here. */
export const objectives = {
  lexi,
  squared,
  'relative-squared': relativeSquared,
  uniform,
  random,
} as const satisfies Record<ObjectiveName, Objective>;

/** The objective of a name, typed as the general case. */
export function objectiveNamed(name: ObjectiveName): Objective {
  return objectives[name];
}
