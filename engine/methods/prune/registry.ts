import type { PruneMethodName } from '../../protocol/pruning';
import { aimer } from './aimer';
import { ean } from './ean';
import { easyEp } from './easyEp';
import { frequency } from './frequency';
import { gateMass } from './gateMass';
import { hope } from './hope';
import { man } from './man';
import type { PruneMethod } from './method';
import { mone } from './mone';
import { msan } from './msan';
import { naee } from './naee';
import { omp } from './omp';
import { random } from './random';
import { razor } from './razor';
import { reap } from './reap';
import { routerChange } from './routerChange';
import { routerNorm } from './routerNorm';
import { stun } from './stun';
import { tcess } from './tcess';
import { weightNorm } from './weightNorm';

/** Every method the protocol names, except `auto`, which measures these. A new one is a file beside this one and a line here. */
export const pruneMethods = {
  frequency,
  'gate-mass': gateMass,
  ean,
  man,
  msan,
  reap,
  razor,
  hope,
  omp,
  'easy-ep': easyEp,
  tcess,
  naee,
  stun,
  'router-change': routerChange,
  aimer,
  'weight-norm': weightNorm,
  'router-norm': routerNorm,
  mone,
  random,
} as const satisfies Record<Exclude<PruneMethodName, 'auto'>, PruneMethod>;

export type SinglePruneMethodName = keyof typeof pruneMethods;

/** The method of a name, typed as the general case. */
export function pruneMethodNamed(name: SinglePruneMethodName): PruneMethod {
  return pruneMethods[name];
}
