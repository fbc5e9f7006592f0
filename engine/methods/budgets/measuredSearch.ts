import { cancelledError, TunerError } from '../../protocol/errors';
import { hasUnitCosts, totalCost, validateTable, type BudgetTable } from './lossTable';
import { MarginalModel, type MarginalModelSettings } from './marginalModel';
import { expectedImprovement, proposals } from './searchProposals';

/** What a measurement may reuse from an earlier one. */
export interface PrefixHint {
  /**
   * The best allocation so far: the one whose hidden states before each layer are worth keeping. For the first measurement it is
   * the allocation itself.
   */
  readonly base: readonly number[];
  /**
   * Position (in the list of MoE layers) of the first layer in which the allocation differs from `base`: everything below it is as
   * in `base`. Equal to the number of layers when nothing differs.
   */
  readonly firstChanged: number;
  readonly signal: AbortSignal | undefined;
}

export interface MeasuredSearchOptions {
  /** Predicted losses, bounds and costs. Only differences within a row matter. */
  readonly table: BudgetTable;
  /** Largest total cost; when k experts cost k, exactly this total is kept. */
  readonly total: number;
  /** Allocations to begin with, measured in this order; at least one, all within the bounds and the total. */
  readonly starts: readonly (readonly number[])[];
  /** The true loss of an allocation, smaller is better; the same number for the same allocation. NaN counts as infinite. */
  readonly measure: (allocation: readonly number[], hint: PrefixHint) => Promise<number>;
  /** Measurements allowed, the starts included. */
  readonly evaluations: number;
  /** Measurements allowed in units of whole forwards: one that starts at layer p of L counts (L - p) / L. No limit by default. */
  readonly effort?: number | undefined;
  /** Share of the loss below which an expected improvement is not worth a measurement. */
  readonly negligible?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly model?: MarginalModelSettings | undefined;
}

/** One measured allocation. */
export interface MeasuredAllocation {
  readonly activeExperts: readonly number[];
  readonly measured: number;
}

/** What happened in one measurement. */
export interface SearchStep extends MeasuredAllocation {
  /** Number of this measurement, from 1. */
  readonly evaluation: number;
  /** What the model expected; null for the first measurement. */
  readonly predicted: number | null;
  readonly kind: 'start' | 'move';
  /** True when it became the best. */
  readonly accepted: boolean;
  readonly best: MeasuredAllocation;
  /** Effort spent so far, in whole forwards. */
  readonly effort: number;
}

export interface SearchOutcome {
  readonly best: MeasuredAllocation;
  readonly evaluations: number;
  readonly effort: number;
  /** Why it ended: no move is worth measuring, the evaluations are used up, or the signal was given. */
  readonly stopped: 'converged' | 'exhausted' | 'aborted';
  /** The table with what the measurements taught. */
  readonly adapted: BudgetTable;
}

/**
 * Improves allocations on the true objective, which does not add up over layers, with few measurements.
 *
 * Starts are measured first. Then, around the best allocation so far, it proposes all moves of one expert from one layer to another and
 * the exact solutions of the adapted table within one, two and any number of steps; measures the one with the largest expected
 * improvement; moves there when it is better; and teaches the {@link MarginalModel} what was measured either way. Never measures an allocation twice, never gets worse than its
 * best start, and is deterministic. Ends when no proposal has an expected improvement worth a measurement.
 *
 * Expected improvement: Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", J. Global
 * Optimization 13, 1998. The pairwise moves are those of LExI's mutation.
 *
 * @yields after every measurement, with the best so far, so that it can be stopped at any time
 * @throws TunerError `cancelled` when aborted before anything was measured; `internal` for starts outside bounds or total
 */
export async function* searchMeasured(options: MeasuredSearchOptions): AsyncGenerator<SearchStep, SearchOutcome> {
  const { table, starts, total } = options;
  validateTable(table);
  starts.forEach((start) => assertStart(table, start, total));
  const search = new Search(options);
  for (const start of starts) {
    if (search.mustStop()) {
      break;
    }
    if (!search.isKnown(start)) {
      yield* search.evaluate(start, 'start');
    }
  }
  while (!search.mustStop()) {
    const next = search.propose();
    if (next === undefined) {
      return search.outcome('converged');
    }
    yield* search.evaluate(next, 'move');
  }
  return search.outcome(options.signal?.aborted === true ? 'aborted' : 'exhausted');
}

class Search {
  private readonly model: MarginalModel;
  private readonly known = new Map<string, number>();
  private readonly layers: number;
  private best: MeasuredAllocation | undefined;
  private effort = 0;

  constructor(private readonly options: MeasuredSearchOptions) {
    this.model = new MarginalModel(options.table, options.model);
    this.layers = options.table.layers.length;
  }

  isKnown(allocation: readonly number[]): boolean {
    return this.known.has(allocation.join());
  }

  mustStop(): boolean {
    const { signal, evaluations, effort = Infinity } = this.options;
    return signal?.aborted === true || this.known.size >= evaluations || this.effort >= effort;
  }

  async *evaluate(activeExperts: readonly number[], kind: SearchStep['kind']): AsyncGenerator<SearchStep, void> {
    const { signal } = this.options;
    const base = this.best;
    const firstChanged = base === undefined ? 0 : this.firstChanged(activeExperts, base);
    let measured: number;
    try {
      const hint = { base: base?.activeExperts ?? activeExperts, firstChanged, signal };
      measured = await this.options.measure(activeExperts, hint);
      measured = Number.isNaN(measured) ? Infinity : measured;
    } catch (error) {
      // A measurement that was cut short by the signal is not a failure: the loop ends with the best so far.
      if (signal?.aborted === true) {
        return;
      }
      throw error;
    }
    this.effort += (this.layers - firstChanged) / this.layers;
    this.known.set(activeExperts.join(), measured);
    const here: MeasuredAllocation = { activeExperts: [...activeExperts], measured };
    let predicted: number | null = null;
    if (base !== undefined) {
      predicted = base.measured + this.model.predict(base.activeExperts, activeExperts).mean;
      if (Number.isFinite(measured) && Number.isFinite(base.measured)) {
        this.model.observe(base.activeExperts, activeExperts, measured - base.measured);
      }
    }
    const accepted = base === undefined || measured < base.measured;
    const best = accepted ? here : base;
    this.best = best;
    yield { ...here, evaluation: this.known.size, predicted, kind, accepted, best, effort: this.effort };
  }

  /** The unmeasured allocation with the largest expected improvement; undefined when none is worth it. */
  propose(): readonly number[] | undefined {
    const best = this.best;
    if (best === undefined) {
      return undefined;
    }
    let chosen: readonly number[] | undefined;
    let highest = Number.isFinite(best.measured)
      ? (this.options.negligible ?? negligible) * Math.abs(best.measured)
      : 0;
    for (const candidate of proposals(this.model.adaptedTable(), best.activeExperts, this.options.total)) {
      if (this.isKnown(candidate)) {
        continue;
      }
      const value = expectedImprovement(this.model.predict(best.activeExperts, candidate));
      if (value > highest) {
        chosen = candidate;
        highest = value;
      }
    }
    return chosen;
  }

  outcome(stopped: SearchOutcome['stopped']): SearchOutcome {
    if (this.best === undefined) {
      throw cancelledError();
    }
    const { best, effort } = this;
    return { best, evaluations: this.known.size, effort, stopped, adapted: this.model.adaptedTable() };
  }

  private firstChanged(activeExperts: readonly number[], base: MeasuredAllocation): number {
    const position = activeExperts.findIndex((k, layer) => k !== base.activeExperts[layer]);
    return position < 0 ? this.layers : position;
  }
}

/** Expected improvements below this share of the loss are not worth a measurement, unless the options say otherwise. */
const negligible = 1e-6;

function assertStart(table: BudgetTable, start: readonly number[], total: number): void {
  const isInside =
    start.length === table.layers.length &&
    table.layers.every(({ minimum, maximum }, layer) => start[layer]! >= minimum && start[layer]! <= maximum);
  const cost = isInside ? totalCost(table, start) : NaN;
  if (!(hasUnitCosts(table) ? cost === total : cost <= total)) {
    throw new TunerError('internal', `The start [${start.join(', ')}] breaks the bounds or the total of ${total}.`);
  }
}
