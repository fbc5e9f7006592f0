import { TunerError } from '../../protocol/errors';
import type { LossRow } from './lossTable';
import type { MeasuredObjective, MeasuredRow } from './endToEnd';

/**
 * MAPLE (arXiv 2608.15299): the sensitivity s_l of a layer is the range of validation accuracy when only that layer's k varies, the
 * preferred k*_l is where accuracy is highest, and the allocation minimises
 *
 *     sum_l s_l (k_l - k*_l)^2   subject to   sum_l k_l = B.
 *
 * That is separable, so the exact solver gives its best whole-numbered allocation; {@link mapleClosedForm} is the published one
 * over the reals. The genetic refinement that follows in the paper is the measured search here.
 */
export const maple: MeasuredObjective = {
  kind: 'measured',
  name: 'maple',
  title: 'MAPLE validation sensitivity',
  source: 'arXiv 2608.15299',
  laterLayers: 'trained',
  measures: 'accuracy',
  lossRows: (rows) =>
    rows.map((row): LossRow => {
      const { sensitivity, preferred } = mapleLayer(row);
      return { layer: row.layer, loss: row.values.map((_, position) => sensitivity * (position + 1 - preferred) ** 2) };
    }),
};

/** What MAPLE reads off one layer. */
export interface MapleLayer {
  /** Largest minus smallest accuracy over k. */
  readonly sensitivity: number;
  /** k of the highest accuracy; of equal ones the largest. */
  readonly preferred: number;
}

/** @throws TunerError `internal` for rows that are empty or not finite. */
export function mapleLayer({ layer, values }: MeasuredRow): MapleLayer {
  if (values.length === 0 || values.some((value) => !Number.isFinite(value))) {
    throw new TunerError('internal', 'The accuracy table has a row that is empty or not finite.', {
      place: `layer ${layer}`,
    });
  }
  const best = Math.max(...values);
  return { sensitivity: best - Math.min(...values), preferred: values.lastIndexOf(best) + 1 };
}

/**
 * The minimum over real k_l without bounds, by a Lagrange multiplier: k_l = k*_l - (sum k* - B) * (1/s_l) / sum_j (1/s_j).
 * Layers without any sensitivity can give up everything for nothing: when there are some, they share the whole difference evenly
 * (the limit of the formula).
 */
export function mapleClosedForm(layers: readonly MapleLayer[], total: number): number[] {
  const surplus = layers.reduce((sum, { preferred }) => sum + preferred, 0) - total;
  const free = layers.filter(({ sensitivity }) => sensitivity === 0).length;
  const weights = layers.map(({ sensitivity }) => (free > 0 ? (sensitivity === 0 ? 1 : 0) : 1 / sensitivity));
  const weightSum = weights.reduce((sum, weight) => sum + weight, 0);
  return layers.map(({ preferred }, position) => preferred - (surplus * weights[position]!) / weightSum);
}
