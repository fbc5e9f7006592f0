import type { CalibratedLayer, CalibrateResult } from '../../engine/protocol/calibration';
import type { HeatMapData, ValueRange } from '../charts/heatMapValues';
import { text } from '../strings';
import { formatInteger, formatMeasured } from '../ui-kit/numbers';

/** What the map shows: how often experts are chosen in all layers, or which are chosen together in one. */
export type UtilisationView = { readonly kind: 'layers' } | { readonly kind: 'pairs'; readonly layer: CalibratedLayer };

/** The view of a name: the index of a layer, or anything else for all of them. */
export function utilisationViewOf({ layers }: CalibrateResult, name: string): UtilisationView {
  const layer = layers.find(({ index }) => String(index) === name);
  return layer === undefined ? { kind: 'layers' } : { kind: 'pairs', layer };
}

/** Tokens of an expert relative to an even share: 1 is even, 0 is never. */
function relativeLoad({ counts }: CalibratedLayer): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (total === 0 ? NaN : (count * counts.length) / total));
}

function layersMap({ layers }: CalibrateResult): HeatMapData {
  const columns = Math.max(0, ...layers.map(({ experts }) => experts));
  const values = new Float64Array(layers.length * columns).fill(NaN);
  layers.forEach((layer, row) => {
    values.set(relativeLoad(layer), row * columns);
  });
  return {
    rows: layers.length,
    columns,
    values,
    rowHeaders: layers.map(({ index }) => String(index)),
    columnHeaders: Array.from({ length: columns }, (_, expert) => String(expert)),
    rowTitle: text('layerAxis'),
    columnTitle: text('expertAxis'),
    chosen: undefined,
  };
}

function pairsMap({ experts, counts, coactivation }: CalibratedLayer): HeatMapData {
  const values = new Float64Array(experts * experts).fill(NaN);
  const headers = Array.from({ length: experts }, (_, expert) => String(expert));
  for (const [one, other, tokens] of coactivation) {
    // The share of the tokens of the row's expert that also chose the column's.
    values[one * experts + other] = tokens / Math.max(1, counts[one] ?? 0);
    values[other * experts + one] = tokens / Math.max(1, counts[other] ?? 0);
  }
  return {
    rows: experts,
    columns: experts,
    values,
    rowHeaders: headers,
    columnHeaders: headers,
    rowTitle: text('expertAxis'),
    columnTitle: text('togetherAxis'),
    chosen: undefined,
  };
}

/** The numbers of a view. */
export function utilisationMap(calibration: CalibrateResult, view: UtilisationView): HeatMapData {
  return view.kind === 'layers' ? layersMap(calibration) : pairsMap(view.layer);
}

/** One cell as a line of text, with the counts behind it. */
export function utilisationCell(
  calibration: CalibrateResult,
  view: UtilisationView,
  map: HeatMapData,
  row: number,
  column: number,
): string {
  const value = map.values[row * map.columns + column] ?? NaN;
  if (view.kind === 'pairs') {
    return Number.isNaN(value)
      ? text('pairCellUnknown', { expert: row, other: column })
      : text('pairCell', { expert: row, other: column, share: formatMeasured(value) });
  }
  const layer = calibration.layers[row];
  const count = layer?.counts[column];
  if (layer === undefined || count === undefined) {
    return '';
  }
  const values = { layer: layer.index, expert: column, tokens: formatInteger(count), load: formatMeasured(value) };
  return layer.coverage.belowShare.includes(column) ? text('loadCellRare', values) : text('loadCell', values);
}

/** The whole map in one sentence. */
export function utilisationSentence(view: UtilisationView, map: HeatMapData, range: ValueRange): string {
  const values = { minimum: formatMeasured(range.minimum), maximum: formatMeasured(range.maximum) };
  const { row, column } = range.largest;
  return view.kind === 'layers'
    ? text('loadSentence', { ...values, rows: map.rows, layer: map.rowHeaders[row] ?? '', expert: column })
    : text('pairSentence', { ...values, layer: view.layer.index, expert: row, other: column });
}
