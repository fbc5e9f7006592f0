import { formatNumber, formatPercent } from '../common/format';
import { localize } from '../common/localize';
import type { BudgetCandidate, BudgetResult } from '../../engine/protocol/budget';

/** Measured KL of the uniform allocation, where it was a candidate. */
function uniformKl(candidates: readonly BudgetCandidate[] = []): number | undefined {
  return candidates.find(({ name }) => name === 'uniform')?.measured?.kl;
}

function measuredSentence({ chosen, measured, candidates }: BudgetResult): string | undefined {
  if (chosen === undefined || measured === undefined) {
    return undefined;
  }
  const values = { chosen, kl: formatNumber(measured.kl) };
  const uniform = uniformKl(candidates);
  if (uniform === undefined || uniform <= 0) {
    return localize('Taken: "{chosen}", measured KL {kl} nats per token.', values);
  }
  const change = measured.kl / uniform - 1;
  const share = formatPercent(Math.abs(change));
  return change <= 0
    ? localize('Taken: "{chosen}", measured KL {kl} nats per token, {share} below uniform.', { ...values, share })
    : localize('Taken: "{chosen}", measured KL {kl} nats per token, {share} above uniform.', { ...values, share });
}

/** What a person should know about a finished run beyond its plan: a stopped search, the measured choice, the engine's notes. */
export function budgetOutcome(budget: BudgetResult): string | undefined {
  const sentences = [
    budget.interrupted === true ? localize('Stopped; the best so far was kept.') : undefined,
    measuredSentence(budget),
    ...(budget.notes ?? []),
  ].filter((sentence) => sentence !== undefined);
  return sentences.length === 0 ? undefined : sentences.join(' ');
}
