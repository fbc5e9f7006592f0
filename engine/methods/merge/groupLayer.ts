import { TunerError } from '../../protocol/errors';
import type { LayerStatistics } from '../statistics';
import type { MergeMethod } from './method';

/** What the groups of one layer must respect. */
export interface GroupLimits {
  /** Experts of the layer in the order of the router, ids of the checkpoint. */
  readonly experts: readonly number[];
  /** Groups to leave. */
  readonly count: number;
  /** Experts that are merged with nothing. */
  readonly pinned: ReadonlySet<number>;
  /** Equal parts of the router's experts among which it chooses; each is left with the same number. 1 for other routers. */
  readonly routerGroups: number;
}

/**
 * Groups of one layer, in the order of the checkpoint by the expert whose router row stays. Members other than the first ascend.
 * @throws TunerError `infeasibleBudget` where the limits contradict each other
 */
export function groupLayer(method: MergeMethod, layer: LayerStatistics, limits: GroupLimits): number[][] {
  const { experts, count, pinned, routerGroups } = limits;
  const size = experts.length / routerGroups;
  const share = count / routerGroups;
  const groups: number[][] = [];
  for (let part = 0; part < routerGroups; part += 1) {
    const members = experts.slice(part * size, (part + 1) * size);
    const alone = members.filter((expert) => pinned.has(expert));
    const free = members.filter((expert) => !pinned.has(expert));
    const left = share - alone.length;
    if (!Number.isInteger(share) || left < Math.min(1, free.length) || left > free.length) {
      throw new TunerError(
        'infeasibleBudget',
        `Decoder layer ${layer.index} cannot be left with ${count} of ${experts.length} experts${alone.length === 0 ? '' : `: ${alone.length} with extreme activations are merged with nothing`}.`,
        { wayOut: 'Choose a smaller ratio.' },
      );
    }
    groups.push(...alone.map((expert) => [expert]));
    groups.push(...(free.length === 0 ? [] : method.group(layer, { experts: free, count: left })));
  }
  return groups
    .map(([first, ...others]) => [first!, ...others.sort((a, b) => a - b)])
    .sort((left, right) => left[0]! - right[0]!);
}
