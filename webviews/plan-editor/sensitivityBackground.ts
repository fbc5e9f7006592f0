import type { LossTable } from '../../engine/protocol/planEditor';
import type { HeatMapValues } from '../charts/heatMapValues';
import type { LayerState } from './layerState';

/**
 * A table of losses as the map behind the bars: a row for each number of active experts, the largest on top, a column for each layer.
 * Losses span orders of magnitude, so the colours follow their square roots; negative ones count as none.
 */
export function sensitivityBackground(table: LossTable, layers: readonly LayerState[], levels: number): HeatMapValues {
  const columns = layers.length;
  const values = new Float64Array(levels * columns).fill(Number.NaN);
  table.rows.forEach((row, column) => {
    row.slice(0, levels).forEach((loss, at) => {
      values[(levels - 1 - at) * columns + column] = Math.sqrt(Math.max(0, loss));
    });
  });
  return { values, rows: levels, columns };
}

/** The loss whose colour is that far, 0 to 1, along the scale between two values of a background. */
export function lossAlong(minimum: number, maximum: number, share: number): number {
  return (minimum + (maximum - minimum) * share) ** 2;
}
