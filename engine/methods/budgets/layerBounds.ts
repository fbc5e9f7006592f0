import { TunerError } from '../../protocol/errors';
import type { LayerBounds } from './lossTable';

/** A MoE layer that gets a budget: its decoder index and the active experts it was trained with (the most it may get). */
export interface LayerToBudget {
  readonly index: number;
  readonly activeExperts: number;
}

/** What a person forbids the solvers to do. Guards are bounds, never penalties: a solution respects them or there is none. */
export interface BudgetGuards {
  /** Fewest active experts of any layer. */
  readonly minimumActive: number;
  /** Most active experts of any layer; left out, as many as it was trained with. */
  readonly maximumActive?: number | undefined;
  /** Decoder indices of layers that keep the active experts they were trained with. */
  readonly pinned?: readonly number[] | undefined;
  /** Narrower bounds of single layers, by decoder index. */
  readonly perLayer?: ReadonlyMap<number, { readonly minimum?: number; readonly maximum?: number }> | undefined;
}

/**
 * The bounds of every layer. A layer never gets more than it was trained with: more experts than in training degrade a model that
 * was not trained for it (Elastic-MoE, arXiv 2509.21892). The most specific guard wins: pinned, then per layer, then global.
 *
 * @throws TunerError `infeasibleBudget` naming the layer and the range it has, or a guard on a layer that does not exist.
 */
export function layerBounds(layers: readonly LayerToBudget[], guards: BudgetGuards): LayerBounds {
  const known = new Set(layers.map(({ index }) => index));
  const stranger = [...(guards.pinned ?? []), ...(guards.perLayer?.keys() ?? [])].find((index) => !known.has(index));
  if (stranger !== undefined) {
    throw new TunerError('infeasibleBudget', `Layer ${stranger} cannot be bounded: it is not a MoE layer.`, {
      wayOut: `The MoE layers are ${[...known].join(', ')}.`,
    });
  }
  const pinned = new Set(guards.pinned);
  const bounds = layers.map(({ index, activeExperts }) => {
    if (pinned.has(index)) {
      return { minimum: activeExperts, maximum: activeExperts };
    }
    const own = guards.perLayer?.get(index);
    const minimum = own?.minimum ?? guards.minimumActive;
    const maximum = own?.maximum ?? Math.min(guards.maximumActive ?? activeExperts, activeExperts);
    if (
      !Number.isInteger(minimum) ||
      !Number.isInteger(maximum) ||
      minimum < 1 ||
      maximum > activeExperts ||
      minimum > maximum
    ) {
      throw new TunerError(
        'infeasibleBudget',
        `The active experts cannot be kept between ${minimum} and ${maximum}: this layer allows 1 to ${activeExperts}.`,
        {
          place: `layer ${index}`,
          wayOut: `Choose bounds between 1 and ${activeExperts}, the minimum not above the maximum.`,
        },
      );
    }
    return { minimum, maximum };
  });
  return { minimum: bounds.map(({ minimum }) => minimum), maximum: bounds.map(({ maximum }) => maximum) };
}
