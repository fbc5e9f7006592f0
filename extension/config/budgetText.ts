import type { BudgetResult } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import { formatNumber, formatPercent } from '../common/format';
import { localize } from '../common/localize';
import { decisionSentence, formatChange, layerDamage, savedShare, tableObjective } from '../plan/layerExplanation';
import { tableRow } from './resultText';

/** Active experts that the layers of a budget were trained with; undefined where the budget is of other layers. */
function trainedOf({ layers }: BudgetResult, summary: CheckpointSummary): number[] | undefined {
  const byIndex = new Map(summary.layers.filter(({ moe }) => moe).map(({ index, active }) => [index, active]));
  const trained = layers.map((layer) => byIndex.get(layer)).filter((active) => active !== undefined);
  return trained.length === layers.length ? trained : undefined;
}

/** One line on the newest budgets: average, what they save, and the measured divergence where there is one. */
export function budgetLine(budget: BudgetResult, summary: CheckpointSummary): string | undefined {
  const trained = trainedOf(budget, summary);
  if (trained === undefined || trained.length === 0) {
    return undefined;
  }
  const values = {
    average: (budget.total / trained.length).toFixed(2),
    share: formatPercent(savedShare(budget.activeExperts, trained)),
  };
  const line = localize('Budgets: {average} on average, {share} of expert FLOPs saved', values);
  return budget.measured === undefined
    ? line
    : `${line} · ${localize('measured KL {kl}', { kl: formatNumber(budget.measured.kl) })}`;
}

/** Markdown table that explains the number of every layer: prediction, one expert fewer or more, and what it saves. */
export function budgetMarkdown(budget: BudgetResult, summary: CheckpointSummary): string {
  const trained = trainedOf(budget, summary) ?? [];
  const header = [
    localize('Layer'),
    localize('Active'),
    localize('Predicted'),
    localize('One fewer'),
    localize('One more'),
    localize('FLOPs saved'),
  ];
  const change = (value: number | undefined): string => (value === undefined ? '' : formatChange(value));
  const rows = budget.layers.map((layer, position) => {
    const active = budget.activeExperts[position] ?? 0;
    const damage = layerDamage(budget, layer, active);
    return tableRow([
      String(layer),
      localize('{active} of {trained}', { active, trained: trained[position] ?? active }),
      damage === undefined ? '' : formatNumber(damage.predicted),
      change(damage?.oneFewer),
      change(damage?.oneMore),
      formatPercent(savedShare([active], [trained[position] ?? active])),
    ]);
  });
  const objective = tableObjective(budget);
  const unit = objective === 'end-to-end' ? localize('KL in nats per token') : `\`${objective}\``;
  return [
    localize('**Active experts per layer** ({total} in total; predictions: {unit})', { total: budget.total, unit }),
    '',
    decisionSentence({ ...budget, measured: budget.measured !== undefined }),
    '',
    tableRow(header),
    tableRow(header.map(() => '--:')),
    ...rows,
  ].join('\n');
}
