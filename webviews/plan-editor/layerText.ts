import type { LossTable, PlanMeasurements } from '../../engine/protocol/planEditor';
import type { Plan } from '../../engine/protocol/plan';
import { text } from '../strings';
import { formatMeasured, formatShare } from '../ui-kit/numbers';
import type { Explanation } from './explanation';
import { lossAt } from './layerState';
import type { LayerState } from './layerState';
import { tableSource, tableUnit } from './lossTableText';

/** One layer in a line: its number, what it is predicted to lose, whether it is locked. */
export function layerLine(layer: LayerState, table: LossTable | undefined): string {
  const { active, trained, name, locked, position } = layer;
  const loss = lossAt(table, position, active);
  const values = { layer: name, active, trained };
  const line =
    loss === undefined
      ? text('planLayer', values)
      : text('planLayerPredicted', { ...values, predicted: formatMeasured(loss) });
  return locked ? text('planLayerLocked', { line }) : line;
}

function signedLoss(value: number): string {
  return value === 0 ? '0' : `${value > 0 ? '+' : '−'}${formatMeasured(Math.abs(value))}`;
}

/** The loss at a number, and how one expert more or fewer would change it. */
function lossWords(layer: LayerState, table: LossTable): string | undefined {
  const { active, position } = layer;
  const here = lossAt(table, position, active);
  if (here === undefined) {
    return undefined;
  }
  const change = (other: number): string | undefined => {
    const loss = lossAt(table, position, other);
    return loss === undefined ? undefined : signedLoss(loss - here);
  };
  const fewer = change(active - 1);
  const more = change(active + 1);
  return [
    text('planLossHere', { active, value: formatMeasured(here, 4) }),
    ...(fewer === undefined ? [] : [text('planLossFewer', { change: fewer })]),
    ...(more === undefined ? [] : [text('planLossMore', { change: more })]),
  ].join(' ');
}

/** Which rule gave a layer its number. */
function ruleOf(layer: LayerState, plan: Plan, { solved }: PlanMeasurements): string {
  if (layer.locked) {
    return text('planRuleLocked');
  }
  if (plan.activeExperts === undefined) {
    return text('planRuleTrained');
  }
  const { budget } = plan;
  if (budget === undefined) {
    return text('planRuleByHand');
  }
  const values = { objective: budget.chosen ?? budget.objective, solver: budget.solver, total: budget.total };
  const chosen = solved?.[layer.position];
  if (chosen !== undefined && chosen !== layer.active) {
    return text('planRuleChanged', { ...values, chosen });
  }
  const total = plan.activeExperts.reduce((sum, active) => sum + active, 0);
  return total === budget.total ? text('planRuleSolved', values) : text('planRuleSolvedOther', values);
}

/** Why a layer has its number, what it loses by it, and where that is known from. */
export function explainLayer(
  layer: LayerState,
  plan: Plan,
  measurements: PlanMeasurements,
  table: LossTable | undefined,
): Explanation {
  const { active, trained, experts, name } = layer;
  const saved = formatShare(trained === 0 ? 0 : 1 - active / trained);
  const number = [
    text('planNumberLayer', { active, trained, experts, saved }),
    table === undefined ? undefined : lossWords(layer, table),
    active > trained ? text('planAboveTrained', { trained }) : undefined,
  ];
  return {
    title: text('planLayerTitle', { layer: name }),
    rule: ruleOf(layer, plan, measurements),
    number: number.filter((part) => part !== undefined).join(' '),
    source:
      table === undefined
        ? text('planSourceDocument')
        : text('planSourceWithUnit', { source: tableSource(table), unit: tableUnit(table) }),
  };
}

/** Columns of the table behind the bars. */
export function layerColumns(table: LossTable | undefined): readonly string[] {
  return [
    text('columnActive'),
    text('columnTrained'),
    ...(table === undefined ? [] : [text('columnPredictedLoss'), text('columnOneFewer'), text('columnOneMore')]),
    text('columnLocked'),
  ];
}

/** The cells of one layer, parallel to {@link layerColumns}. */
export function layerCells(layer: LayerState, table: LossTable | undefined): readonly string[] {
  const { active, trained, position, locked } = layer;
  const loss = lossAt(table, position, active);
  const change = (other: number): string => {
    const there = lossAt(table, position, other);
    return loss === undefined || there === undefined ? '–' : signedLoss(there - loss);
  };
  return [
    String(active),
    String(trained),
    ...(table === undefined
      ? []
      : [loss === undefined ? '–' : formatMeasured(loss), change(active - 1), change(active + 1)]),
    locked ? text('planYes') : text('planNo'),
  ];
}
