import type { WindowScores } from '../../protocol/budget';
import { pairedDifference, type WindowContent } from '../budgets/heldOutChoice';

/** A plan with its scores on windows that no search has seen; the same windows for all. */
export interface MeasuredPlan {
  readonly windows: WindowScores;
}

type Measure = 'loss' | 'kl' | 'lost';

/**
 * What decides, and what decides where that cannot. Perplexity on running text is its cross-entropy; items of a few dozen tokens are
 * judged by the predictions they lose, because the loss of their prompts says nothing. KL looks at the whole distribution and not at one
 * token of it: it has the least noise, and tells plans apart that the other two cannot.
 */
const measures: Readonly<Record<WindowContent, readonly [Measure, Measure]>> = {
  text: ['loss', 'kl'],
  items: ['lost', 'kl'],
};

/**
 * The plan to take. The smallest sum of the first measure leads; plans within one standard error of it, paired over windows (the rule of
 * Breiman et al., "Classification and Regression Trees", 1984, section 3.4), are as good, and of these the smallest KL is taken.
 * @param plans at least one
 */
export function choosePlan<Plan extends MeasuredPlan>(plans: readonly Plan[], content: WindowContent): Plan {
  const [first, second] = measures[content];
  const leader = smallest(plans, first, second);
  const tied = plans.filter(({ windows }) => {
    const { mean, standardError } = pairedDifference(windows[first], leader.windows[first], windows.tokens);
    return mean <= standardError;
  });
  return smallest(tied, second, first);
}

/** The plan with the smallest sum of a measure, and of the other one where sums are equal; of equal ones the first. */
function smallest<Plan extends MeasuredPlan>(plans: readonly Plan[], measure: Measure, otherwise: Measure): Plan {
  const sum = ({ windows }: Plan, of: Measure) => windows[of].reduce((total, value) => total + value, 0);
  return plans.reduce((best, plan) => {
    const difference = sum(plan, measure) - sum(best, measure) || sum(plan, otherwise) - sum(best, otherwise);
    return difference < 0 ? plan : best;
  });
}
