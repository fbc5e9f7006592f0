import { TunerError } from '../../protocol/errors';
import type { LossRow } from './lossTable';

/** One layer of a table measured on the whole model: a value by k-1 for k = 1 … k0. */
export interface MeasuredRow {
  /** Index of the decoder layer. */
  readonly layer: number;
  readonly values: readonly number[];
}

/** Facts of an objective that is measured on the whole model, as pickers and reports show them. */
export interface MeasuredObjective {
  readonly kind: 'measured';
  readonly name: string;
  readonly title: string;
  readonly source: string;
  /** Active experts of the layers after the one that is varied: as trained, or one. Layers before it are as trained. */
  readonly laterLayers: 'trained' | 'one';
  /** What one measurement returns. */
  readonly measures: 'kl' | 'log-perplexity' | 'accuracy';
  lossRows(rows: readonly MeasuredRow[]): LossRow[];
}

/**
 * End-to-end damage: loss_l[k] = KL(full model || model in which only layer l runs at k), averaged over calibration tokens; or the
 * rise in log-perplexity, which differs per layer only by the constant the solvers do not see. The damage has passed through all
 * later layers, so the units of all layers agree. In our experiments the best table for the exact solver.
 */
export const endToEnd: MeasuredObjective = {
  kind: 'measured',
  name: 'end-to-end',
  title: 'End-to-end damage of single layers',
  source: 'own; the profile of Alloc-MoE (arXiv 2604.08133) with later layers as trained',
  laterLayers: 'trained',
  measures: 'kl',
  lossRows: relativeToFull,
};

/**
 * Every row minus its value at k0, so that the last entry is 0 and rows of different baselines can be added up.
 * @throws TunerError `internal` for rows that are empty or not finite.
 */
export function relativeToFull(rows: readonly MeasuredRow[]): LossRow[] {
  return rows.map(({ layer, values }) => {
    const full = values.at(-1);
    if (full === undefined || values.some((value) => !Number.isFinite(value))) {
      throw new TunerError('internal', 'The measured table has a row that is empty or not finite.', {
        place: `layer ${layer}`,
      });
    }
    return { layer, loss: values.map((value) => value - full) };
  });
}
