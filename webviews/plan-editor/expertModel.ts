import type { ExpertMark } from '../charts/expertMark';
import type { ExpertScore } from './expertScores';
import type { PlanView } from './layerState';

/** Several experts that become one. */
export interface MergeGroup {
  /** Counts the groups of the layer from 1: how a person tells them apart. */
  readonly number: number;
  /** The first keeps its router row. */
  readonly members: readonly number[];
}

/** The experts of one layer as the plan has them. */
export interface ExpertRow {
  readonly position: number;
  readonly name: string;
  readonly experts: number;
  /** Fewest experts that may stay: as many as are active per token. */
  readonly least: number;
  readonly kept: ReadonlySet<number>;
  /** The group of each merged expert. */
  readonly groups: ReadonlyMap<number, MergeGroup>;
  /** The chosen score of each expert; undefined where none is known. */
  readonly scores: readonly number[] | undefined;
  /** Share of the tokens that chose each expert; undefined where no text was run. */
  readonly use: readonly number[] | undefined;
  /** Experts that saw too few tokens to be judged. */
  readonly weak: ReadonlySet<number>;
  /** What the run that wrote the plan kept; undefined where that is not known. */
  readonly prunedTo: ReadonlySet<number> | undefined;
}

/**
 * The experts of every layer; empty where the plan does not fit the layers, and where it neither prunes nor merges and nothing is
 * known that experts could be chosen by.
 */
export function expertRows(
  { plan, layers, measurements }: Pick<PlanView, 'plan' | 'layers' | 'measurements'>,
  score: ExpertScore | undefined,
): readonly ExpertRow[] {
  const { prune, merge } = plan;
  const { expertUse, prunedTo } = measurements;
  const listed = prune?.keep.length ?? merge?.groups.length ?? (score === undefined ? undefined : layers.length);
  if (listed === undefined || listed !== layers.length) {
    return [];
  }
  return layers.map(({ position, name, experts, active }) => {
    const counts = expertUse?.counts[position];
    const merged = (merge?.groups[position] ?? []).filter((group) => group.length > 1);
    const groups = merged.map((members, at): MergeGroup => ({ number: at + 1, members }));
    const decided = prunedTo?.[position];
    return {
      position,
      name,
      experts,
      least: Math.min(active, experts),
      kept: new Set(prune?.keep[position] ?? Array.from({ length: experts }, (_, expert) => expert)),
      groups: new Map(groups.flatMap((group) => group.members.map((expert): [number, MergeGroup] => [expert, group]))),
      scores: score?.rows[position],
      use: counts?.map((count) => count / Math.max(1, expertUse?.tokens ?? 1)),
      weak: new Set(expertUse?.weak[position]),
      prunedTo: decided && new Set(decided),
    };
  });
}

/** What becomes of an expert. */
export function markOf(row: ExpertRow, expert: number): ExpertMark {
  if (expert >= row.experts) {
    return 'none';
  }
  if (!row.kept.has(expert)) {
    return 'pruned';
  }
  const group = row.groups.get(expert);
  return group === undefined || group.members[0] === expert ? 'kept' : 'merged';
}

/** How many experts the plan leaves. */
export function countExperts(rows: readonly ExpertRow[]): {
  readonly experts: number;
  readonly kept: number;
  readonly merged: number;
} {
  const sum = (count: (row: ExpertRow) => number): number => rows.reduce((total, row) => total + count(row), 0);
  return {
    experts: sum(({ experts }) => experts),
    kept: sum(({ kept }) => kept.size),
    merged: sum((row) => [...row.groups.keys()].filter((expert) => markOf(row, expert) === 'merged').length),
  };
}
