import { TunerError } from '../../protocol/errors';
import type { KeepLimits, LayerRanking } from './method';

/**
 * The experts of the highest scores under the limits, ascending. Of equal scores the lower index stays.
 * @throws TunerError `infeasibleBudget` where the limits contradict each other
 */
export function keepBest(scores: ArrayLike<number>, limits: KeepLimits): number[] {
  const { count, pinned, groups } = limits;
  assertLimits(scores.length, limits);
  const size = scores.length / groups;
  const kept: number[] = [];
  for (let group = 0; group < groups; group += 1) {
    const members = Array.from({ length: size }, (_, at) => group * size + at);
    members.sort(
      (left, right) =>
        Number(pinned.has(right)) - Number(pinned.has(left)) || scores[right]! - scores[left]! || left - right,
    );
    kept.push(...members.slice(0, count / groups));
  }
  return kept.sort((left, right) => left - right);
}

/** A ranking whose scores decide alone. */
export function ranking(scores: ArrayLike<number>): LayerRanking {
  return { scores: Array.from(scores), keep: (limits) => keepBest(scores, limits) };
}

/** @throws TunerError `infeasibleBudget` where no set of experts respects the limits */
export function assertLimits(experts: number, { count, pinned, groups }: KeepLimits): void {
  const share = count / groups;
  if (!Number.isInteger(count) || count < 1 || count > experts || !Number.isInteger(share)) {
    throw new TunerError(
      'infeasibleBudget',
      `${count} of ${experts} experts cannot stay in ${groups} groups of equal size.`,
    );
  }
  const size = experts / groups;
  for (let group = 0; group < groups; group += 1) {
    const inGroup = [...pinned].filter((expert) => Math.floor(expert / size) === group).length;
    if (inGroup > share) {
      throw new TunerError(
        'infeasibleBudget',
        `${inGroup} experts with extreme activations are protected, but only ${share} may stay.`,
        { wayOut: 'Choose a smaller ratio, or allow them to go with --prune-super-experts.' },
      );
    }
  }
}

/** Whether adding `expert` to a set leaves room for what else must stay: its group is not full. */
export function groupHasRoom(kept: readonly number[], expert: number, experts: number, limits: KeepLimits): boolean {
  const size = experts / limits.groups;
  const group = Math.floor(expert / size);
  const inGroup = [...new Set([...kept, ...limits.pinned])].filter((other) => Math.floor(other / size) === group);
  return inGroup.includes(expert) || inGroup.length < limits.count / limits.groups;
}
