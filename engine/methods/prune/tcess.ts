import type { ExpertSums } from '../statistics';
import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/**
 * PreMoe's task-conditioned selection score (arXiv 2505.17639) with k_a = 1: the mean over the tokens of a task of the largest router
 * logit, counted for the expert it belongs to and zero elsewhere. Logits are taken above the mean logit of their token: raw ones may
 * be negative, and a chosen expert would then rank below one that was never chosen.
 */
export const tcess: PruneMethodOf<'statistics'> = {
  name: 'tcess',
  title: 'Task-conditioned router scores (PreMoe TCESS)',
  explanation: 'Keeps the experts the router is surest of on the chosen tasks; made for --task.',
  source: 'arXiv 2505.17639',
  needs: 'statistics',
  rank: ({ sums }) => ranking(tcessPattern(sums)),
};

/** The scores of one layer: what a task is recognised by, too. */
export function tcessPattern({ topMargins, tokens }: ExpertSums): Float64Array {
  return topMargins.map((sum) => (tokens > 0 ? sum / tokens : 0));
}
