import { TunerError } from '../../protocol/errors';
import { solveExact } from '../budgets/exactSolver';
import { budgetTable } from '../budgets/lossTable';

/** What bounds the number of experts that stay in one MoE layer. */
export interface PrunableLayer {
  readonly index: number;
  readonly experts: number;
  /** Active experts k: fewer cannot stay. */
  readonly activeExperts: number;
  readonly groups: PrunableGroups | undefined;
  /** Experts that stay in any case. */
  readonly pinned: ReadonlySet<number>;
}

/** Groups of equal size among which the router chooses first. */
export interface PrunableGroups {
  readonly count: number;
  /** Groups that a token's experts may come from. */
  readonly kept: number;
  /** Fewest experts of a group: 2 where a group is scored by the sum of its two best. */
  readonly least: number;
}

/** Fewest experts of a layer that the router can work with. */
export function fewestExperts({ experts, activeExperts, groups, pinned }: PrunableLayer): number {
  if (groups === undefined) {
    return Math.max(activeExperts, pinned.size, 1);
  }
  const size = experts / groups.count;
  const pinnedInGroup = Array.from(
    { length: groups.count },
    (_, group) => [...pinned].filter((expert) => Math.floor(expert / size) === group).length,
  );
  const least = Math.max(groups.least, Math.ceil(activeExperts / groups.kept), ...pinnedInGroup, 1);
  return Math.min(experts, least * groups.count);
}

/**
 * Experts that stay in every layer for a ratio of experts that go: the same share everywhere, rounded to whole experts; rounded up to
 * whole groups where the router chooses among groups.
 * @throws TunerError `infeasibleBudget` where fewer would stay than the router needs
 */
export function uniformCounts(layers: readonly PrunableLayer[], ratio: number): number[] {
  return layers.map((layer) => {
    const unit = layer.groups?.count ?? 1;
    const count = unit * Math.ceil((layer.experts - Math.round(ratio * layer.experts)) / unit);
    const fewest = fewestExperts(layer);
    if (count < fewest) {
      const possible = Math.floor((1000 * (layer.experts - fewest)) / layer.experts) / 1000;
      throw new TunerError(
        'infeasibleBudget',
        `Decoder layer ${layer.index} would keep ${count} of ${layer.experts} experts, but needs ${fewest}.`,
        {
          place: '--ratio',
          wayOut: `Choose a ratio of at most ${possible}${layer.pinned.size > layer.activeExperts ? ', or allow experts with extreme activations to go with --prune-super-experts' : ''}.`,
        },
      );
    }
    return count;
  });
}

/**
 * Experts that stay in every layer such that the predicted damages sum to the least, for a total over all layers, by the exact solver.
 * @param damage predicted damage by layer and number of experts that stay
 * @throws TunerError `infeasibleBudget` when the total cannot be reached
 */
export async function raggedCounts(
  layers: readonly PrunableLayer[],
  total: number,
  damage: (position: number, count: number) => Promise<number>,
): Promise<number[]> {
  const rows: { layer: number; loss: number[] }[] = [];
  const costs: number[][] = [];
  for (const [position, layer] of layers.entries()) {
    const unit = layer.groups?.count ?? 1;
    const loss: number[] = [];
    for (let count = fewestExperts(layer); count <= layer.experts; count += unit) {
      loss.push(await damage(position, count));
    }
    rows.push({ layer: layer.index, loss });
    costs.push(loss.map((_, step) => fewestExperts(layer) + step * unit));
  }
  const { activeExperts: steps } = solveExact(budgetTable(rows, undefined, costs)).atMost(total);
  return steps.map((step, position) => costs[position]![step - 1]!);
}
