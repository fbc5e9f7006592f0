import { TunerError } from '../../protocol/errors';

/** Sizes of one MoE layer that decide what an active expert costs. */
export interface LayerCostFacts {
  /** Hidden size H and intermediate size F of one routed expert. */
  readonly hidden: number;
  readonly intermediate: number;
  /** Matrices per expert: 3 for gate, up and down; 2 without a gate. */
  readonly matrices: number;
  /** Routed experts E, and the active experts k0 the layer was trained with. */
  readonly experts: number;
  readonly activeExperts: number;
  /** Bytes of one routed expert as stored. */
  readonly expertBytes: number;
}

/** Costs by MoE layer and k-1, in some unit; not yet whole numbers. */
export type CostColumns = readonly (readonly number[])[];

/** Floating-point operations of the routed experts per token: 2 operations per weight, k experts of `matrices` H×F weights each. */
export function flopCosts(layers: readonly LayerCostFacts[]): number[][] {
  return layers.map(({ hidden, intermediate, matrices, activeExperts }) =>
    byActiveExperts(activeExperts, (k) => 2 * k * matrices * hidden * intermediate),
  );
}

/**
 * Bytes of expert weights that one step over a batch of `tokens` touches, in expectation when tokens choose independently:
 * expertBytes * sum_e (1 - (1 - p_e(k))^tokens). With one token that is k experts; with many nearly all experts are touched
 * whatever k is, which is why fewer active experts then save operations and not memory traffic.
 *
 * @param frequencies per layer the share of tokens that chose each expert at the trained k0 (sums to k0), from calibration; p_e(k)
 * is taken as the share scaled by k / k0. Left out, all experts are equally likely: p_e(k) = k / E.
 */
export function byteCosts(
  layers: readonly LayerCostFacts[],
  tokens: number,
  frequencies?: readonly (readonly number[])[],
): number[][] {
  return layers.map(({ experts, activeExperts, expertBytes }, position) => {
    const shares = frequencies?.[position] ?? new Array<number>(experts).fill(activeExperts / experts);
    return byActiveExperts(activeExperts, (k) => {
      let touched = 0;
      for (const share of shares) {
        touched += 1 - (1 - Math.min(1, (share * k) / activeExperts)) ** tokens;
      }
      return expertBytes * touched;
    });
  });
}

/**
 * The mean over repeated measurements of the same columns, for example microseconds per layer and k.
 * @throws TunerError `internal` when there is no run or the runs have different shapes.
 */
export function averageCosts(runs: readonly CostColumns[]): number[][] {
  const first = runs[0];
  const shape = (columns: CostColumns): string => columns.map((column) => column.length).join();
  if (first === undefined || runs.some((run) => shape(run) !== shape(first))) {
    throw new TunerError('internal', 'Cost measurements of different layers cannot be averaged.');
  }
  return first.map((column, layer) =>
    column.map((_, position) => runs.reduce((sum, run) => sum + run[layer]![position]!, 0) / runs.length),
  );
}

/** Costs as whole multiples of `unit`, as the solvers need them. */
export interface WholeCosts {
  /** By layer and k-1, rounded to the nearest unit. */
  readonly costs: number[][];
  /** Size of one unit in the original measure: a budget X there is floor(X / unit) here. */
  readonly unit: number;
}

/**
 * Rounds costs to whole units, coarse enough that the dearest allocation has at most about `steps` units. Rounding errs by at most half
 * a unit per layer: with the default and 100 layers below 0.05 % of the dearest allocation.
 *
 * @throws TunerError `internal` for costs that are negative or not finite.
 */
export function wholeCosts(columns: CostColumns, steps = 100_000): WholeCosts {
  const values = columns.flat();
  if (values.length === 0 || values.some((value) => !Number.isFinite(value) || value < 0)) {
    throw new TunerError('internal', 'Costs must be finite and not negative.');
  }
  const dearest = columns.reduce((sum, column) => sum + Math.max(...column), 0);
  const isWhole = values.every((value) => Number.isSafeInteger(value));
  const unit = isWhole && dearest <= steps ? 1 : dearest / steps || 1;
  return { costs: columns.map((column) => column.map((value) => Math.round(value / unit))), unit };
}

function byActiveExperts(activeExperts: number, cost: (k: number) => number): number[] {
  return Array.from({ length: activeExperts }, (_, position) => cost(position + 1));
}
