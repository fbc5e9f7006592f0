import type { TaskSequence } from '../checkpoint/windows';
import type { DatasetEvaluation } from '../protocol/evaluation';
import type { SequenceScores } from './scoring';

/** Windows of one dataset, as positions in the list of scored sequences. */
export interface DatasetRange {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Perplexity, KL divergence and top-1 agreement of one dataset over all predicted tokens of its windows. */
export function evaluateDataset(scores: readonly SequenceScores[], range: DatasetRange): DatasetEvaluation {
  const members = scores.slice(range.start, range.end);
  const tokens = members.reduce((sum, { loss }) => sum + loss.length, 0);
  const mean = (pick: (score: SequenceScores) => ArrayLike<number>) =>
    members.reduce((total, score) => total + sum(pick(score)), 0) / tokens;
  const baselinePerplexity = Math.exp(mean(({ loss }) => loss));
  if (members[0]?.changed === undefined) {
    return { perplexity: baselinePerplexity, tokens };
  }
  return {
    perplexity: Math.exp(mean(({ changed }) => changed!.loss)),
    tokens,
    baselinePerplexity,
    kl: Math.max(
      0,
      mean(({ changed }) => changed!.divergence),
    ),
    top1Agreement: mean(({ changed }) => changed!.agrees),
  };
}

/** Exact-match accuracy per task: an item counts when every answer token is the arg-max under teacher forcing. */
export function evaluateTasks(
  items: readonly TaskSequence[],
  scores: readonly SequenceScores[],
  changed: boolean,
): Record<string, number> {
  const totals = new Map<string, { right: number; all: number }>();
  items.forEach(({ task, answerStart, answerEnd }, at) => {
    const score = scores[at]!;
    const correct = changed ? score.changed!.correct : score.correct;
    const right = correct.subarray(answerStart - 1, answerEnd - 1).every((value) => value === 1);
    const total = totals.get(task) ?? { right: 0, all: 0 };
    totals.set(task, { right: total.right + Number(right), all: total.all + 1 });
  });
  return Object.fromEntries([...totals].map(([task, { right, all }]) => [task, right / all]));
}

/** Mean over datasets of the log of a positive number, exponentiated. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((total, value) => total + Math.log(value), 0) / values.length);
}

export function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let at = 0; at < values.length; at += 1) {
    total += values[at]!;
  }
  return total;
}
