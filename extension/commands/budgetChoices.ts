import { localize } from '../common/localize';
import type { ObjectiveName } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';

/** The objectives the picker offers, with what each minimises: those that need nothing but the checkpoint. */
export function offeredObjectives(): readonly (readonly [name: ObjectiveName, description: string])[] {
  return [
    ['lexi', localize('Output change per layer, as LExI publishes it')],
    ['squared', localize('Squared output change per layer')],
    ['relative-squared', localize('Squared output change relative to the output of the layer')],
    ['uniform', localize('Control: the same number in every layer')],
    ['random', localize('Control: random numbers')],
  ];
}

/** A total of active experts over the MoE layers, as the picker offers it. */
export interface TotalChoice {
  readonly total: number;
  readonly average: number;
  /** Share of the active experts the checkpoint was trained with. */
  readonly share: number;
}

/** Shares of the trained active experts that are worth a look. */
const offeredShares = [0.875, 0.75, 0.625, 0.5, 0.375, 0.25];

/** Smallest and largest total that a checkpoint allows: one expert per layer, or all it was trained with. */
export function totalLimits({ layers }: CheckpointSummary): { minimum: number; maximum: number; layers: number } {
  const moeLayers = layers.filter(({ moe }) => moe);
  const maximum = moeLayers.reduce((sum, { active }) => sum + active, 0);
  return { minimum: moeLayers.length, maximum, layers: moeLayers.length };
}

/** The totals a picker offers, largest first, without repetitions. */
export function totalChoices(summary: CheckpointSummary): TotalChoice[] {
  const { minimum, maximum, layers } = totalLimits(summary);
  const totals = offeredShares.map((share) => Math.max(minimum, Math.round(share * maximum)));
  return [...new Set(totals)]
    .filter((total) => total < maximum)
    .map((total) => ({ total, average: total / layers, share: total / maximum }));
}

/** Why a total that a person typed cannot be used; undefined where it can. */
export function totalProblem(text: string, summary: CheckpointSummary): string | undefined {
  const { minimum, maximum } = totalLimits(summary);
  const total = Number(text);
  return Number.isInteger(total) && total >= minimum && total <= maximum
    ? undefined
    : localize('Give a whole number from {minimum} to {maximum}.', { minimum, maximum });
}
