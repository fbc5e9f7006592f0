import type { AllocationQuality, WindowScores } from '../protocol/budget';

/** Means over all scored tokens. */
export function qualityOf({ tokens, kl, loss, correct }: WindowScores): AllocationQuality {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const count = sum(tokens);
  return { kl: Math.max(0, sum(kl) / count), logPerplexity: sum(loss) / count, accuracy: sum(correct) / count };
}
