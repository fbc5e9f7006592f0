import type { LossTable } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import { formatInteger } from '../ui-kit/numbers';

/** What the numbers of a table are, in words. */
export function tableUnit({ objective }: Pick<LossTable, 'objective'>): string {
  switch (objective) {
    case 'end-to-end':
      return text('planUnitKl');
    case 'relative-squared':
      return text('planUnitRelative');
    case 'lexi':
      return text('planUnitNorm');
    default:
      return text('planUnitObjective', { objective });
  }
}

/** A table in the list of tables. */
export function tableLabel(table: LossTable): string {
  const unit = tableUnit(table);
  return text(table.name === 'budget' ? 'planTableBudget' : 'planTableProfile', { unit });
}

/** Where the numbers of a table come from. */
export function tableSource({ name, tokens, input, stale }: LossTable): string {
  const values = { tokens: tokens === undefined ? '' : formatInteger(tokens), input: input ?? '' };
  const source =
    name === 'budget'
      ? tokens === undefined
        ? text('planSourceBudgetRun')
        : text('planSourceBudgetRunTokens', values)
      : text('planSourceProfile', values);
  return stale ? text('planSourceStale', { source }) : source;
}
