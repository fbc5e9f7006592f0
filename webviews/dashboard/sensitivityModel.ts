import type { BudgetResult } from '../../engine/protocol/budget';
import type { ProfileResult } from '../../engine/protocol/sensitivity';
import type { HeatMapData, ValueRange } from '../charts/heatMapValues';
import { text } from '../strings';
import { formatMeasured } from '../ui-kit/numbers';
import type { MeasureName } from './uiState';

/**
 * A profile as a heat map: one row per MoE layer, one column per number of active experts.
 *
 * @param budget marks its choice where it was made for the same layers
 */
export function heatMapOf(profile: ProfileResult, budget: BudgetResult | undefined, measure: MeasureName): HeatMapData {
  const rows = profile.layers.length;
  const columns = profile.activeExperts;
  const values = new Float64Array(rows * columns).fill(Number.NaN);
  profile.layers.forEach((layer, row) => {
    layer[measure].slice(0, columns).forEach((value, column) => {
      values[row * columns + column] = value;
    });
  });
  const chosenByLayer = new Map(budget?.layers.map((layer, at) => [layer, budget.activeExperts[at] ?? 0]));
  const chosen = profile.layers.map(({ index }) => Math.min(chosenByLayer.get(index) ?? 0, columns) - 1);
  return {
    values,
    rows,
    columns,
    rowHeaders: profile.layers.map(({ index }) => String(index)),
    columnHeaders: Array.from({ length: columns }, (_, column) => String(column + 1)),
    rowTitle: text('layerAxis'),
    columnTitle: text('expertsAxis'),
    chosen: budget === undefined ? undefined : chosen,
  };
}

/** One value of a heat map as text. */
export function cellText(map: HeatMapData, row: number, column: number): string {
  const value = map.values[row * map.columns + column];
  return value === undefined || Number.isNaN(value) ? text('notMeasured') : formatMeasured(value);
}

/** One cell as a whole line of text. */
export function cellSentence(map: HeatMapData, row: number, column: number): string {
  const chosen = map.chosen?.[row] === column;
  return text(chosen ? 'heatMapCellChosen' : 'heatMapCell', {
    layer: map.rowHeaders[row] ?? '',
    k: map.columnHeaders[column] ?? '',
    value: cellText(map, row, column),
  });
}

/** The whole map in one sentence. */
export function heatMapSentence(map: HeatMapData, range: ValueRange): string {
  return text('heatMapSentence', {
    rows: map.rows,
    columns: map.columns,
    minimum: formatMeasured(range.minimum),
    maximum: formatMeasured(range.maximum),
    mean: formatMeasured(range.mean),
    layer: map.rowHeaders[range.largest.row] ?? '',
    k: map.columnHeaders[range.largest.column] ?? '',
  });
}
