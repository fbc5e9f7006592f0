import type { BudgetCandidate, BudgetResult } from '../../engine/protocol/budget';
import type { MeasuredBudget } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import { formatDecimals, formatInteger, formatMeasured, formatShare } from '../ui-kit/numbers';

/** Allocations that are there to compare with; nobody would take them. */
const controlNames: readonly string[] = ['uniform', 'random'];

export interface EvidenceRow {
  readonly name: string;
  readonly control: boolean;
  /** Whether this is the allocation that the run took. */
  readonly chosen: boolean;
  /** Predicted KL, measured KL, perplexity. */
  readonly cells: readonly string[];
}

/** The measured candidates behind a choice. */
export interface EvidenceModel {
  readonly rows: readonly EvidenceRow[];
  readonly caption: string;
  /** What came out, in whole sentences. */
  readonly sentences: readonly string[];
}

const none = '–';
/** Candidates differ by parts of a percent: that has to be visible. */
const klDigits = 4;
const perplexityDigits = 5;

export function isControl({ name }: BudgetCandidate): boolean {
  return controlNames.includes(name);
}

function same(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

/** The candidates of this result, else those of the newest run that has any, for the same layers. */
function runWithCandidates(
  budget: BudgetResult,
  earlier: readonly MeasuredBudget[],
): BudgetResult | MeasuredBudget | undefined {
  const measured = ({ candidates = [], layers }: BudgetResult | MeasuredBudget): boolean =>
    candidates.some((candidate) => candidate.measured !== null) && same(layers, budget.layers);
  return measured(budget) ? budget : earlier.findLast(measured);
}

function rowOf(candidate: BudgetCandidate, name: string, chosen: boolean): EvidenceRow {
  const { predicted, measured } = candidate;
  const cells = [
    predicted === null ? none : formatMeasured(predicted, klDigits),
    measured === null ? none : formatMeasured(measured.kl, klDigits),
    measured === null ? none : formatMeasured(Math.exp(measured.logPerplexity), perplexityDigits),
  ];
  return { name, control: isControl(candidate), chosen, cells };
}

/** Rows in the order of the run, best measured first; candidates of the same name are numbered. */
function rowsOf(candidates: readonly BudgetCandidate[], chosen: readonly number[]): EvidenceRow[] {
  const seen = new Map<string, number>();
  const repeated = (name: string): boolean => candidates.filter((candidate) => candidate.name === name).length > 1;
  const taken = candidates.find(({ activeExperts }) => same(activeExperts, chosen));
  return candidates.map((candidate) => {
    const number = (seen.get(candidate.name) ?? 0) + 1;
    seen.set(candidate.name, number);
    const name = repeated(candidate.name)
      ? text('candidateNumbered', { name: candidate.name, number })
      : candidate.name;
    return rowOf(candidate, name, candidate === taken);
  });
}

function outcomeSentence(
  run: BudgetResult | MeasuredBudget,
  candidates: readonly BudgetCandidate[],
): string | undefined {
  const { chosen, measured, calibrationTokens = 0 } = run;
  if (measured === undefined || chosen === undefined) {
    return undefined;
  }
  const values = { chosen, kl: formatMeasured(measured.kl), tokens: formatInteger(calibrationTokens) };
  const uniform = candidates.find(({ name }) => name === 'uniform')?.measured?.kl;
  if (uniform === undefined || uniform <= 0 || chosen === 'uniform') {
    return text('evidenceOutcome', values);
  }
  const change = measured.kl / uniform - 1;
  const share = formatShare(Math.abs(change));
  return text(change <= 0 ? 'evidenceBelowUniform' : 'evidenceAboveUniform', { ...values, share });
}

/** The evidence behind the newest measured choice; undefined where nothing was measured. */
export function evidenceModelOf(
  budget: BudgetResult,
  measuredBudgets: readonly MeasuredBudget[],
): EvidenceModel | undefined {
  const run = runWithCandidates(budget, measuredBudgets);
  if (run === undefined) {
    return undefined;
  }
  const { candidates = [], total, layers, rankCorrelation, interrupted } = run;
  const average = formatDecimals(total / Math.max(1, layers.length), 2);
  const sentences = [
    interrupted === true ? text('evidenceInterrupted') : undefined,
    outcomeSentence(run, candidates),
    typeof rankCorrelation === 'number'
      ? text('evidenceCorrelation', { correlation: formatDecimals(rankCorrelation, 2) })
      : undefined,
    same(run.activeExperts, budget.activeExperts)
      ? undefined
      : text('evidenceOtherTotal', { total, planTotal: budget.total }),
  ].filter((sentence) => sentence !== undefined);
  return { rows: rowsOf(candidates, run.activeExperts), caption: text('evidenceCaption', { average }), sentences };
}
