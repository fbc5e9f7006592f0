import type { BudgetResult } from '../../engine/protocol/budget';
import { formatNumber, formatPercent } from '../common/format';
import { localize } from '../common/localize';

/** How budgets were chosen, as a budget result and the `budget` of a plan both say it. */
export interface Decision {
  readonly objective: string;
  readonly solver: string;
  readonly chosen?: string | undefined;
  /** Whether the choice was measured on the whole model. */
  readonly measured: boolean;
}

/** What a layer loses at its number of active experts, and what one expert more or less would change. */
export interface LayerDamage {
  readonly predicted: number;
  /** Change of the prediction with one active expert less; undefined at 1. */
  readonly oneFewer: number | undefined;
  /** Change of the prediction with one active expert more; undefined at the number the layer was trained with. */
  readonly oneMore: number | undefined;
}

/** Share of the expert FLOPs of some layers that smaller numbers save: the work of a layer is proportional to its number. */
export function savedShare(chosen: readonly number[], trained: readonly number[]): number {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return sum(trained) === 0 ? 0 : 1 - sum(chosen) / sum(trained);
}

/** The objective whose table a result carries: that of `auto` is the end-to-end one, or the data-free one it fell back to. */
export function tableObjective({ objective, chosen, calibrationTokens }: BudgetResult): string {
  if (objective !== 'auto') {
    return objective;
  }
  return calibrationTokens === undefined ? (chosen ?? objective) : 'end-to-end';
}

/** Predictions for one layer from the table the solver saw; undefined where the result has none for it. */
export function layerDamage(budget: BudgetResult | undefined, layer: number, active: number): LayerDamage | undefined {
  const loss = budget?.table?.find((row) => row.layer === layer)?.loss;
  const predicted = loss?.[active - 1];
  if (loss === undefined || predicted === undefined) {
    return undefined;
  }
  const changeTo = (other: number): number | undefined => {
    const value = loss[other - 1];
    return value === undefined ? undefined : value - predicted;
  };
  return { predicted, oneFewer: changeTo(active - 1), oneMore: changeTo(active + 1) };
}

/** A change with its sign: +0.0031, −0.0012. */
export function formatChange(value: number): string {
  return value < 0 ? `−${formatNumber(-value)}` : `+${formatNumber(value)}`;
}

/** Which rule decided the numbers, as a sentence. */
export function decisionSentence({ objective, solver, chosen, measured }: Decision): string {
  const values = { objective, solver, chosen: chosen ?? '' };
  if (objective !== 'auto' || chosen === undefined) {
    return localize('Decided by the objective `{objective}` with the `{solver}` solver.', values);
  }
  if (!measured) {
    return localize('Decided by `{chosen}`: `auto` had no text to measure on.', values);
  }
  return chosen === 'search'
    ? localize('Decided by `auto`: its search measured this allocation as better than every solved candidate.')
    : localize('Decided by `auto`: the allocation of `{chosen}` measured best of all candidates.', values);
}

/** The prediction for one layer and its neighbours as a sentence; `unit` names the objective behind the numbers. */
export function damageSentence(active: number, damage: LayerDamage, objective: string): string {
  const unit = objective === 'end-to-end' ? localize('KL in nats per token') : `\`${objective}\``;
  const neighbours = [
    damage.oneFewer === undefined ? '' : localize('one fewer {change}', { change: formatChange(damage.oneFewer) }),
    damage.oneMore === undefined ? '' : localize('one more {change}', { change: formatChange(damage.oneMore) }),
  ].filter((part) => part !== '');
  const values = { active, predicted: formatNumber(damage.predicted), unit, neighbours: neighbours.join(', ') };
  return neighbours.length === 0
    ? localize('Predicted damage at k={active}: {predicted} ({unit})', values)
    : localize('Predicted damage at k={active}: {predicted} ({unit}); {neighbours}', values);
}

/** What the number saves, as a sentence. */
export function savingSentence(active: number, trained: number): string {
  const saved = savedShare([active], [trained]);
  return saved > 0
    ? localize("Saves {share} of this layer's expert FLOPs", { share: formatPercent(saved) })
    : localize("Saves none of this layer's expert FLOPs");
}
