import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { Plan } from '../../engine/protocol/plan';
import { formatNumber, formatPercent, formatPerplexity } from '../common/format';
import { localize } from '../common/localize';
import type { CheckpointEntry } from '../config/checkpointStore';
import { isResultStale } from '../config/staleness';
import { savedShare } from './layerExplanation';

/** A measurement of a plan in words; `current` is false when the numbers of the plan or the weights changed after it. */
export interface PlanMeasurement {
  readonly text: string;
  readonly current: boolean;
}

/** Text at the end of the line of `activeExperts`. */
export interface PlanLine {
  readonly text: string;
  readonly stale: boolean;
}

function same(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, position) => value === other[position]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The divergence that the budget run measured and wrote into the plan. */
function klMeasurement({ activeExperts = [], budget }: Plan, checkpoint: CheckpointEntry): PlanMeasurement | undefined {
  if (budget?.measuredKl === undefined) {
    return undefined;
  }
  // The plan keeps the total it was written with, not the list: the run itself has that, while it is in the history.
  const { measuredBudgets = [] } = checkpoint;
  const run = measuredBudgets.find(({ measured, total }) => {
    return total === budget.total && measured?.kl === budget.measuredKl;
  });
  const current = run === undefined ? sum(activeExperts) === budget.total : same(run.activeExperts, activeExperts);
  const kl = formatNumber(budget.measuredKl);
  const text =
    budget.calibrationTokens === undefined
      ? localize('measured KL {kl}', { kl })
      : localize('measured KL {kl} on {tokens} tokens', { kl, tokens: budget.calibrationTokens.toLocaleString('en') });
  return { text, current };
}

/** Differences of an evaluation to its baseline: perplexity in percent, accuracy in points. */
export function evaluationDelta(evaluation: EvaluateResult): string {
  const { geometricMeanPerplexity: perplexity, baselineGeometricMeanPerplexity: before } = evaluation;
  const { meanAccuracy: accuracy, baselineMeanAccuracy: accuracyBefore } = evaluation;
  const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)}`;
  const parts: string[] = [];
  if (perplexity !== undefined) {
    const value = formatPerplexity(perplexity);
    parts.push(
      before === undefined
        ? localize('perplexity {value}', { value })
        : localize('perplexity {change} % ({value} against {before})', {
            change: signed((perplexity / before - 1) * 100),
            value,
            before: formatPerplexity(before),
          }),
    );
  }
  if (accuracy !== undefined) {
    parts.push(
      accuracyBefore === undefined
        ? localize('accuracy {value}', { value: formatPercent(accuracy) })
        : localize('accuracy {change} points', { change: signed((accuracy - accuracyBefore) * 100) }),
    );
  }
  return parts.join(', ');
}

/** The newest evaluation of a plan file. */
export function evaluationMeasurement(
  { activeExperts = [] }: Plan,
  planFile: string,
  { evaluations, summary }: CheckpointEntry,
): PlanMeasurement | undefined {
  const evaluation = evaluations.findLast(({ plan }) => plan === planFile);
  const text = evaluation === undefined ? '' : evaluationDelta(evaluation);
  return evaluation === undefined || text === ''
    ? undefined
    : { text, current: same(evaluation.activeExperts, activeExperts) && !isResultStale(evaluation, summary) };
}

/** Average, saving and measurements of a plan in one line; undefined where the plan does not fit the checkpoint. */
export function planLine(plan: Plan, planFile: string, checkpoint: CheckpointEntry): PlanLine | undefined {
  const chosen = plan.activeExperts ?? [];
  const trained = checkpoint.summary?.layers.filter(({ moe }) => moe).map(({ active }) => active);
  if (trained === undefined || chosen.length === 0 || trained.length !== chosen.length) {
    return undefined;
  }
  const average = sum(chosen) / chosen.length;
  const most = Math.max(...trained);
  const parts = [
    localize('{average} of {trained} on average', { average: average.toFixed(2), trained: most }),
    localize('{share} of expert FLOPs saved', { share: formatPercent(savedShare(chosen, trained)) }),
  ];
  const all = [klMeasurement(plan, checkpoint), evaluationMeasurement(plan, planFile, checkpoint)];
  const known = all.filter((measurement) => measurement !== undefined);
  const current = known.filter((measurement) => measurement.current);
  const stale = known.length > 0 && current.length === 0;
  // What was measured on other numbers is worth showing only as long as there is nothing better.
  parts.push(...(stale ? known : current).map(({ text }) => text), ...(stale ? [localize('stale')] : []));
  return { text: parts.join(' · '), stale };
}
