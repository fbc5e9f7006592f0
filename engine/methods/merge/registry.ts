import type { MergeMethodName } from '../../protocol/merging';
import { hcSmoe } from './hcSmoe';
import { mergeMoe } from './mergeMoe';
import type { MergeMethod } from './method';
import { mSmoe } from './mSmoe';
import { ream } from './ream';

/** Every merging method the protocol names. A new one is a file beside this one and a line here. */
export const mergeMethods = {
  'm-smoe': mSmoe,
  'hc-smoe': hcSmoe,
  ream,
  mergemoe: mergeMoe,
} as const satisfies { readonly [Name in MergeMethodName]: MergeMethod };
