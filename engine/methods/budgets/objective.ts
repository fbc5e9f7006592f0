import type { profileInputs, ProfileResult } from '../../protocol/sensitivity';
import type { LayerBounds, LossRow } from './lossTable';

export type ProfileInput = (typeof profileInputs)[number];

/** Facts about an objective that pickers and reports show. */
interface ObjectiveFacts {
  /** Name on the command line and in plan files. */
  readonly name: string;
  readonly title: string;
  /** Publication, or how we came to it. */
  readonly source: string;
}

/** An objective that predicts the damage of every layer at every k from a sensitivity profile; a solver does the rest. */
export interface TableObjective extends ObjectiveFacts {
  readonly kind: 'table';
  readonly needs: 'profile';
  /** Probe input the profile must have been made with. */
  readonly input: ProfileInput;
  /** Damage by layer and k-1, smaller is better. */
  lossRows(profile: ProfileResult): LossRow[];
}

/** A control that needs no measurement and names the allocation itself. */
export interface AllocationObjective extends ObjectiveFacts {
  readonly kind: 'allocation';
  readonly needs: 'none';
  /**
   * Active experts per layer, summing to `total` and inside the bounds.
   * @throws TunerError `infeasibleBudget` when no allocation has this total.
   */
  allocate(bounds: LayerBounds, total: number, seed: number): number[];
}

export type Objective = TableObjective | AllocationObjective;
