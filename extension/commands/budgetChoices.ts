import { localize } from '../common/localize';
import type { BudgetResult, ObjectiveName } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';

/** Objectives that run the whole model on calibration text. */
const objectivesOnText: readonly ObjectiveName[] = ['auto', 'end-to-end', 'alloc-l', 'maple', 'calibrated'];

/** Whether an objective measures the whole model; `auto` does where it is given text. */
export function measuresModel(objective: ObjectiveName): boolean {
  return objectivesOnText.includes(objective);
}

/**
 * The objectives the picker offers, the default first, with what each minimises. Those that need the whole model are left out
 * where it cannot be run.
 */
export function offeredObjectives(
  modelRuns: boolean,
): readonly (readonly [name: ObjectiveName, description: string])[] {
  const descriptions: Readonly<Record<ObjectiveName, string>> = {
    auto: modelRuns
      ? localize('Default: measures the candidates of several objectives on your text, improves the best, takes it')
      : localize('Default: nothing can be measured here, so the data-free objective "relative-squared" chooses'),
    'end-to-end': localize('Measured KL divergence when one layer alone runs with fewer experts'),
    'alloc-l': localize('Measured log-perplexity of one layer, all later layers at one expert (Alloc-MoE)'),
    maple: localize('Measured accuracy of the next token on validation text (MAPLE)'),
    calibrated: localize('Relative squared output change per layer on inputs from your text'),
    gamma: localize('Relative squared output change on Gaussian inputs weighted by the RMS norm'),
    'relative-squared': localize('Squared output change relative to the output of the layer; needs no text'),
    squared: localize('Squared output change per layer; needs no text'),
    lexi: localize('Output change per layer, as LExI publishes it; needs no text'),
    uniform: localize('Control: the same number in every layer'),
    random: localize('Control: random numbers'),
  };
  return (Object.entries(descriptions) as [ObjectiveName, string][]).filter(
    ([name]) => modelRuns || name === 'auto' || !measuresModel(name),
  );
}

/** What the engine is asked for when a person picks a point of the front. */
export interface PointRequest extends Pick<BudgetResult, 'objective' | 'solver' | 'seed'> {
  /** Whether it needs the calibration text of the run that drew the front. */
  readonly onText: boolean;
  /** True when the point is predicted by a front that has measurements elsewhere. */
  readonly unmeasured: boolean;
}

/**
 * How a point of the front becomes the plan. The front of `auto` is that of its end-to-end table, which is in the cache: the point
 * is taken from there, unless `auto` has searched that total before. Any other objective simply solves another total.
 *
 * @param measuredTotals totals that were searched before
 */
export function pointRequest(budget: BudgetResult, measuredTotals: readonly number[], total: number): PointRequest {
  const { objective, solver, seed } = budget;
  const onText = objective === 'auto' ? budget.calibrationTokens !== undefined : measuresModel(objective);
  const fromAutoFront = onText && (objective === 'auto' || objective === 'end-to-end');
  if (!fromAutoFront) {
    return { objective, solver, seed, onText, unmeasured: false };
  }
  const searched = measuredTotals.includes(total);
  return { objective: searched ? 'auto' : 'end-to-end', solver: 'exact', seed, onText, unmeasured: !searched };
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
