import type { BudgetResult } from '../../engine/protocol/budget';
import type { MeasuredBudget } from '../../engine/protocol/dashboard';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { DivergenceMark, FrontChartData } from '../charts/frontChartData';
import { text } from '../strings';
import { divergenceMarks, divergencesByTotal, predictsDivergence } from './divergences';
import { formatDecimals, formatInteger, formatMeasured, formatSigned } from '../ui-kit/numbers';

/** One point of the front with what was measured at its cost. */
export interface FrontRow {
  readonly total: number;
  readonly average: number;
  readonly predicted: number | null;
  /** Measured loss in the unit of the front; undefined where nothing was measured. */
  readonly measured: number | undefined;
  /** Measured KL of what a budget run took at this cost, in nats per token. */
  readonly kl: number | undefined;
}

/** What the measured points show: relative perplexity change in percent, or lost accuracy in percentage points. */
export type MeasuredUnit = 'perplexity' | 'accuracy';

export interface FrontModel {
  readonly rows: readonly FrontRow[];
  readonly unit: MeasuredUnit;
  readonly measured: readonly { readonly x: number; readonly y: number }[];
  /** Measured divergences of budget runs. */
  readonly divergences: readonly DivergenceMark[];
  /** Whether the predictions are divergences too, so that both share an axis. */
  readonly predictsDivergence: boolean;
  /** What the plan's allocation itself is predicted to lose. */
  readonly plan: { readonly x: number; readonly y: number } | undefined;
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
 * The front with the evaluations that belong to it: those of other active experts over the same number of MoE layers. Perplexity is
 * shown where any of them has it, accuracy otherwise, so that one axis holds one unit. Divergences that budget runs measured
 * share the axis of the predictions where those are divergences, else the right one where no evaluation needs it.
 */
export function frontModelOf(
  budget: BudgetResult,
  evaluations: readonly EvaluateResult[],
  measuredBudgets: readonly MeasuredBudget[] = [],
): FrontModel {
  const layers = budget.layers.length;
  const changed = evaluations.filter(
    (run) => !run.baseline && run.weightsChanged !== true && run.activeExperts.length === layers,
  );
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
  const kl = divergencesByTotal(budget, measuredBudgets);
  const rows = [...budget.front]
    .sort((one, other) => one.total - other.total)
    .map(({ total, average, predicted }) => {
      return { total, average, predicted, measured: byTotal.get(total), kl: kl.get(total) };
    });
  const average = budget.total / Math.max(1, layers);
  const divergences = divergenceMarks(budget, measuredBudgets, rows);
  // Where controls were measured, a predicted one says nothing more.
  const controlMeasured = predictsDivergence(budget) && divergences.some(({ kind }) => kind === 'control');
  const control = controlMeasured || budget.uniformPredicted === null ? undefined : budget.uniformPredicted;
  return {
    rows,
    unit,
    measured: [...byTotal].map(([total, y]) => ({ x: total / Math.max(1, layers), y })),
    divergences,
    predictsDivergence: predictsDivergence(budget),
    plan: budget.predicted === null ? undefined : { x: average, y: budget.predicted },
    chosen: rows.findIndex(({ total }) => total === budget.total),
    control: control === undefined ? undefined : { x: average, y: control },
  };
}

/** The model as the chart takes it. */
export function frontChartData(model: FrontModel): FrontChartData {
  const evaluated = model.measured.length > 0;
  const evaluationTitle = text(model.unit === 'perplexity' ? 'perplexityAxis' : 'accuracyAxis');
  return {
    points: model.rows.map(({ average, predicted }) => ({ x: average, y: predicted })),
    plan: model.plan,
    control: model.control,
    measured: model.measured,
    divergences: drawnDivergences(model),
    divergenceAxis: model.predictsDivergence ? 'predicted' : 'measured',
    costTitle: text('frontAxis'),
    predictedTitle: text(model.predictsDivergence ? 'divergenceAxis' : 'predictedAxis'),
    measuredTitle: evaluated || model.predictsDivergence ? evaluationTitle : text('divergenceAxis'),
  };
}

/** The divergences that have an axis: none where predictions and evaluations of other units take both. */
export function drawnDivergences({ divergences, predictsDivergence, measured }: FrontModel): readonly DivergenceMark[] {
  return predictsDivergence || measured.length === 0 ? divergences : [];
}

const none = '–';

/** Whether any cost of the front has a measured divergence. */
export function hasDivergences({ rows }: FrontModel): boolean {
  return rows.some(({ kl }) => kl !== undefined);
}

/** Headers of the cells that {@link frontCells} gives. */
export function frontColumns(model: FrontModel): readonly string[] {
  return [
    text('columnTotal'),
    text(model.predictsDivergence ? 'columnPredictedKl' : 'columnPredicted'),
    ...(hasDivergences(model) ? [text('columnMeasuredKl')] : []),
    text('columnMeasured'),
  ];
}

function measuredCell({ measured }: FrontRow, unit: MeasuredUnit): string {
  if (measured === undefined) {
    return none;
  }
  return unit === 'perplexity' ? `${formatSigned(measured, 1)} %` : formatSigned(measured, 1);
}

function predictedCell({ predicted }: FrontRow): string {
  return predicted === null ? none : formatMeasured(predicted);
}

/** The cells of one row of the table: total, predicted, measured KL where the front has any, measured by an evaluation. */
export function frontCells(row: FrontRow, model: FrontModel): readonly string[] {
  const kl = row.kl === undefined ? none : formatMeasured(row.kl);
  return [
    formatInteger(row.total),
    predictedCell(row),
    ...(hasDivergences(model) ? [kl] : []),
    measuredCell(row, model.unit),
  ];
}

/** One point as a whole line of text. */
export function frontSentenceOf(model: FrontModel, at: number): string {
  const row = model.rows[at];
  if (row === undefined) {
    return '';
  }
  const total = formatInteger(row.total);
  const values = { average: formatDecimals(row.average, 2), total, predicted: predictedCell(row) };
  const measured = measuredCell(row, model.unit);
  const point =
    row.measured === undefined ? text('frontCell', values) : text('frontCellMeasured', { ...values, measured });
  const cell = row.kl === undefined ? point : text('frontCellKl', { cell: point, kl: formatMeasured(row.kl) });
  return at === model.chosen ? text('frontCellChosen', { cell }) : cell;
}

/** The whole front in one sentence. */
export function frontSummary(model: FrontModel, planAverage: number): string {
  const sentence = lineSummary(model, planAverage);
  const divergences = drawnDivergences(model).length;
  return divergences === 0 ? sentence : text('frontDivergences', { sentence, divergences });
}

function lineSummary(model: FrontModel, planAverage: number): string {
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
