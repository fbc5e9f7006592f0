import type { SeededRandom } from '../../numeric/seededRandom';
import type { KeepLimits } from './method';

/** Experts that stay, per MoE layer. */
export type KeptSets = readonly (readonly number[])[];

export interface SearchLimits extends Omit<KeepLimits, 'count'> {
  /** Experts of the layer, staying or not. */
  readonly experts: number;
}

export interface SetSearch {
  /** Plans of several methods, best measured first. The search starts from the first. */
  readonly plans: readonly KeptSets[];
  /** What a layer must respect, besides the number that stays. */
  readonly limits: readonly SearchLimits[];
  /** Measurements that may be made. */
  readonly evaluations: number;
  readonly random: SeededRandom;
  readonly signal: AbortSignal;
  /** Damage of a plan; `base` is the best so far, from which the plan differs in one layer. */
  readonly measure: (plan: KeptSets, base: KeptSets) => Promise<number>;
}

export interface SearchProgress {
  readonly evaluation: number;
  readonly plan: KeptSets;
  readonly measured: number;
}

/** Other sets of a layer that are tried before single experts are swapped. */
const setsPerLayer = 3;

/**
 * Improves a plan by measured moves in single layers: first a layer takes the set that another method chose for it; then one expert that
 * stays is swapped against one that goes, those first on which the methods agree least. A move that lowers the measured damage is kept.
 * Numbers of experts per layer never change. Yields after every measurement; ends when the evaluations are used up, nothing is left to
 * try, or the signal is aborted.
 */
export async function* searchSets(search: SetSearch): AsyncGenerator<SearchProgress, void> {
  const { plans, evaluations, measure, signal } = search;
  let best = plans[0]!;
  let measured = await measure(best, best);
  let evaluation = 1;
  yield { evaluation, plan: best, measured };
  const tried = new Set<string>();
  for (let pass = 0, improved = true; pass <= 1 || improved; pass += 1) {
    improved = false;
    for (const { position, propose } of pass === 0 ? otherSets(search) : swaps(search)) {
      if (evaluation >= evaluations || signal.aborted) {
        return;
      }
      const set = propose(best[position]!);
      const key = `${position} ${set?.join()}`;
      if (set === undefined || tried.has(key) || set.join() === best[position]!.join()) {
        continue;
      }
      tried.add(key);
      const plan = best.map((own, at) => (at === position ? set : own));
      const damage = await measure(plan, best);
      evaluation += 1;
      if (damage < measured) {
        [best, measured, improved] = [plan, damage, true];
        tried.clear();
      }
      yield { evaluation, plan: best, measured };
    }
  }
}

/** A change of one layer; undefined where it does not apply to the present set. */
interface Move {
  readonly position: number;
  readonly propose: (present: readonly number[]) => readonly number[] | undefined;
}

/** Every layer, in random order, with the sets of the best plans. */
function* otherSets({ plans, random }: SetSearch): Generator<Move> {
  const layers = random.shuffle([...plans[0]!.keys()]);
  for (const position of layers) {
    const size = plans[0]![position]!.length;
    const sets = new Map(plans.map((plan) => [plan[position]!.join(), plan[position]!]));
    for (const set of [...sets.values()].filter(({ length }) => length === size).slice(0, setsPerLayer + 1)) {
      yield { position, propose: () => set };
    }
  }
}

/** Round after round one swap per layer, in random order; each layer goes on to less promising pairs. */
function* swaps({ plans, limits, random }: SetSearch): Generator<Move> {
  const votes = plans[0]!.map((_, position) => agreement(plans, position));
  const layers = [...plans[0]!.keys()];
  const mostPairs = Math.max(...plans[0]!.map(({ length }, at) => length * (limits[at]!.experts - length)));
  for (let round = 0; round < mostPairs; round += 1) {
    for (const position of random.shuffle(layers)) {
      yield {
        position,
        propose: (present) => swapped(present, votes[position]!, limits[position]!, round),
      };
    }
  }
}

/** How strongly the plans want to keep each expert: the sum over plans of 1 / rank. */
function agreement(plans: readonly KeptSets[], position: number): ReadonlyMap<number, number> {
  const votes = new Map<number, number>();
  plans.forEach((plan, rank) => {
    for (const expert of plan[position]!) {
      votes.set(expert, (votes.get(expert) ?? 0) + 1 / (rank + 1));
    }
  });
  return votes;
}

/** The `round`-th most promising swap: an expert with few votes goes, one with many comes back. */
function swapped(
  present: readonly number[],
  votes: ReadonlyMap<number, number>,
  { experts, pinned, groups }: SearchLimits,
  round: number,
): readonly number[] | undefined {
  const vote = (expert: number) => votes.get(expert) ?? 0;
  const size = experts / groups;
  const pairs = present
    .filter((out) => !pinned.has(out))
    .flatMap((out) =>
      Array.from({ length: experts }, (_, expert) => expert)
        .filter((back) => !present.includes(back) && Math.floor(back / size) === Math.floor(out / size))
        .map((back) => ({ out, back, promise: vote(back) - vote(out) })),
    )
    .sort((left, right) => right.promise - left.promise || left.out - right.out || left.back - right.back);
  const pair = pairs[round];
  return pair === undefined
    ? undefined
    : [...present.filter((expert) => expert !== pair.out), pair.back].sort((left, right) => left - right);
}
