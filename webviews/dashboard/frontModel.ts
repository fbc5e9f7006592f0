import type { BudgetResult } from '../../engine/protocol/budget';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { FrontChartData } from '../charts/frontChartData';
import { text } from '../strings';
import { formatDecimals, formatInteger, formatMeasured, formatSigned } from '../ui-kit/numbers';

/** One point of the front with what was measured at its cost. */
export interface FrontRow {
  readonly total: number;
  readonly average: number;
  readonly predicted: number | null;
  /** Measured loss in the unit of the front; undefined where nothing was measured. */
  readonly measured: number | undefined;
}

/** What the measured points show: relative perplexity change in percent, or lost accuracy in percentage points. */
export type MeasuredUnit = 'perplexity' | 'accuracy';

export interface FrontModel {
  readonly rows: readonly FrontRow[];
  readonly unit: MeasuredUnit;
  readonly measured: readonly { readonly x: number; readonly y: number }[];
  /** Row of the plan, -1 when its cost is not on the front. */
  readonly chosen: number;
  readonly control: { readonly x: number; readonly y: number } | undefined;
}

const percent = 100;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Relative change of the geometric mean perplexity in percent, where both were measured. */
function perplexityChange(evaluation: EvaluateResult): number | undefined {
  const { geometricMeanPerplexity: after, baselineGeometricMeanPerplexity: before } = evaluation;
  return after === undefined || before === undefined ? undefined : (after / before - 1) * percent;
}

/** Mean accuracy lost in percentage points, where both were measured. */
function accuracyLoss(evaluation: EvaluateResult): number | undefined {
  const { meanAccuracy: after, baselineMeanAccuracy: before } = evaluation;
  return after === undefined || before === undefined ? undefined : (before - after) * percent;
}

/**
 * The front with the evaluations that belong to it: those of a changed model over the same number of MoE layers. Perplexity is
 * shown where any of them has it, accuracy otherwise, so that one axis holds one unit.
 */
export function frontModelOf(budget: BudgetResult, evaluations: readonly EvaluateResult[]): FrontModel {
  const layers = budget.layers.length;
  const changed = evaluations.filter((run) => !run.baseline && run.activeExperts.length === layers);
  const unit: MeasuredUnit = changed.some((run) => perplexityChange(run) !== undefined) ? 'perplexity' : 'accuracy';
  const measure = unit === 'perplexity' ? perplexityChange : accuracyLoss;
  // Runs come newest last, so a later measurement of the same cost replaces an earlier one.
  const byTotal = new Map<number, number>();
  for (const run of changed) {
    const loss = measure(run);
    if (loss !== undefined) {
      byTotal.set(sum(run.activeExperts), loss);
    }
  }
  const rows = [...budget.front]
    .sort((one, other) => one.total - other.total)
    .map(({ total, average, predicted }) => ({ total, average, predicted, measured: byTotal.get(total) }));
  const average = budget.total / Math.max(1, layers);
  return {
    rows,
    unit,
    measured: [...byTotal].map(([total, y]) => ({ x: total / Math.max(1, layers), y })),
    chosen: rows.findIndex(({ total }) => total === budget.total),
    control: budget.uniformPredicted === null ? undefined : { x: average, y: budget.uniformPredicted },
  };
}

/** The model as the chart takes it. */
export function frontChartData(model: FrontModel): FrontChartData {
  return {
    points: model.rows.map(({ average, predicted }) => ({ x: average, y: predicted })),
    chosen: model.chosen,
    control: model.control,
    measured: model.measured,
    costTitle: text('frontAxis'),
    predictedTitle: text('predictedAxis'),
    measuredTitle: text(model.unit === 'perplexity' ? 'perplexityAxis' : 'accuracyAxis'),
  };
}

const none = '–';

/** The cells of one row of the table: average, total, predicted, measured. */
export function frontCells(row: FrontRow, unit: MeasuredUnit): readonly string[] {
  const measured = row.measured === undefined ? none : formatSigned(row.measured, 1);
  return [
    formatInteger(row.total),
    row.predicted === null ? none : formatMeasured(row.predicted),
    unit === 'perplexity' && row.measured !== undefined ? `${measured} %` : measured,
  ];
}

/** One point as a whole line of text. */
export function frontSentenceOf(model: FrontModel, at: number): string {
  const row = model.rows[at];
  if (row === undefined) {
    return '';
  }
  const [total = '', predicted = '', measured = ''] = frontCells(row, model.unit);
  const values = { average: formatDecimals(row.average, 2), total, predicted };
  const cell =
    row.measured === undefined ? text('frontCell', values) : text('frontCellMeasured', { ...values, measured });
  return at === model.chosen ? text('frontCellChosen', { cell }) : cell;
}

/** The whole front in one sentence. */
export function frontSummary(model: FrontModel, planAverage: number): string {
  const [first] = model.rows;
  const last = model.rows.at(-1);
  const values = {
    points: model.rows.length,
    firstAverage: formatDecimals(first?.average ?? 0, 2),
    lastAverage: formatDecimals(last?.average ?? 0, 2),
    average: formatDecimals(planAverage, 2),
    measured: model.measured.length,
  };
  if (typeof first?.predicted !== 'number' || typeof last?.predicted !== 'number') {
    return text('frontSentencePlain', values);
  }
  return text('frontSentence', {
    ...values,
    first: formatMeasured(first.predicted),
    last: formatMeasured(last.predicted),
  });
}
