import type { ExpertMark } from '../charts/expertMark';
import { text } from '../strings';
import { formatInteger, formatShare } from '../ui-kit/numbers';
import type { Explanation } from './explanation';
import type { PlanView } from './layerState';

/** The experts of one layer as the plan has them. */
export interface ExpertRow {
  readonly position: number;
  readonly name: string;
  readonly experts: number;
  /** Fewest experts that may stay: as many as are active per token. */
  readonly least: number;
  readonly kept: ReadonlySet<number>;
  /** The group of each merged expert; the first of a group is what the others become. */
  readonly groups: ReadonlyMap<number, readonly number[]>;
  /** Share of the tokens that chose each expert; undefined where no text was run. */
  readonly use: readonly number[] | undefined;
  /** Experts that saw too few tokens to be judged. */
  readonly weak: ReadonlySet<number>;
}

/** The experts of every layer; empty where the plan neither prunes nor merges, or does not fit the layers. */
export function expertRows({ plan, layers, measurements }: PlanView): readonly ExpertRow[] {
  const { prune, merge } = plan;
  const listed = prune?.keep.length ?? merge?.groups.length;
  if (listed === undefined || listed !== layers.length) {
    return [];
  }
  const { expertUse } = measurements;
  return layers.map(({ position, name, experts, active }) => {
    const counts = expertUse?.counts[position];
    const groups = (merge?.groups[position] ?? []).filter((group) => group.length > 1);
    return {
      position,
      name,
      experts,
      least: Math.min(active, experts),
      kept: new Set(prune?.keep[position] ?? Array.from({ length: experts }, (_, expert) => expert)),
      groups: new Map(groups.flatMap((group) => group.map((expert): [number, readonly number[]] => [expert, group]))),
      use: counts?.map((count) => count / Math.max(1, expertUse?.tokens ?? 1)),
      weak: new Set(expertUse?.weak[position]),
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
  return group === undefined || group[0] === expert ? 'kept' : 'merged';
}

function fateOf(row: ExpertRow, expert: number): string {
  const group = row.groups.get(expert);
  const others = (group ?? []).filter((other) => other !== expert).join(', ');
  switch (markOf(row, expert)) {
    case 'none':
      return '';
    case 'pruned':
      return text('planExpertPruned');
    case 'merged':
      return text('planExpertMerged', { into: group?.[0] ?? expert });
    case 'kept':
      return group === undefined ? text('planExpertKept') : text('planExpertMergedHere', { others });
  }
}

/** One expert in a line. */
export function expertLine(row: ExpertRow, expert: number): string {
  const use = row.use?.[expert];
  const line = text('planExpertLine', { layer: row.name, expert, fate: fateOf(row, expert) });
  const known = use === undefined ? line : text('planExpertLineUse', { line, share: formatShare(use) });
  return row.weak.has(expert) ? text('planExpertLineWeak', { line: known }) : known;
}

/** The mark of an expert in the table: a word, so that nothing depends on colour. */
export function expertCell(row: ExpertRow, expert: number): string {
  const mark = markOf(row, expert);
  if (mark === 'none') {
    return '';
  }
  const word = text(
    mark === 'pruned' ? 'planExpertPruned' : mark === 'merged' ? 'planExpertMergedWord' : 'planExpertKept',
  );
  const use = row.use?.[expert];
  return use === undefined ? word : `${word} ${formatShare(use)}`;
}

/** Why an expert stays, goes or is merged. */
export function explainExpert(row: ExpertRow, expert: number, { plan, measurements }: PlanView): Explanation {
  const { prune, merge } = plan;
  const { expertUse } = measurements;
  const pruneRule = prune && text('planRulePrune', { method: prune.chosen ?? prune.method });
  const mergeRule = merge && row.groups.has(expert) ? text('planRuleMerge', { method: merge.method }) : undefined;
  const use = row.use?.[expert];
  const numbers = [
    text('planNumberKept', { kept: row.kept.size, experts: row.experts, least: row.least }),
    ...(use === undefined || expertUse === undefined
      ? []
      : [
          text('planNumberUse', {
            count: formatInteger(expertUse.counts[row.position]?.[expert] ?? 0),
            tokens: formatInteger(expertUse.tokens),
            share: formatShare(use, 2),
          }),
        ]),
    ...(row.weak.has(expert) ? [text('planExpertWeak')] : []),
  ];
  const tokens = prune?.calibrationTokens ?? merge?.calibrationTokens;
  const source = [
    text('planSourceDocument'),
    ...(tokens === undefined ? [] : [text('planSourceStatistics', { tokens: formatInteger(tokens) })]),
    ...(expertUse === undefined ? [] : [text('planSourceUse', { tokens: formatInteger(expertUse.tokens) })]),
    ...(expertUse?.stale === true ? [text('staleText')] : []),
  ];
  return {
    title: text('planExpertTitle', { layer: row.name, expert }),
    rule: [pruneRule, mergeRule].filter((rule) => rule !== undefined).join(' '),
    number: numbers.join(' '),
    source: source.join(' '),
  };
}
