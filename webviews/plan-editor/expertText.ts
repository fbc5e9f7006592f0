import { text } from '../strings';
import { formatInteger, formatShare } from '../ui-kit/numbers';
import { countExperts, markOf } from './expertModel';
import type { ExpertRow } from './expertModel';
import { formatScore, rankOf } from './expertScores';
import type { ExpertScore } from './expertScores';
import type { Explanation } from './explanation';
import type { PlanView } from './layerState';

function fateOf(row: ExpertRow, expert: number): string {
  const group = row.groups.get(expert);
  const others = (group?.members ?? []).filter((other) => other !== expert).join(', ');
  switch (markOf(row, expert)) {
    case 'none':
      return '';
    case 'pruned':
      return text('planExpertPruned');
    case 'merged':
      return text('planExpertMerged', { into: group?.members[0] ?? expert });
    case 'kept':
      return group === undefined ? text('planExpertKept') : text('planExpertMergedHere', { others });
  }
}

/** One expert in a line. */
export function expertLine(row: ExpertRow, expert: number, score: ExpertScore | undefined): string {
  const use = row.use?.[expert];
  const value = row.scores?.[expert];
  const parts = [
    text('planExpertLine', { layer: row.name, expert, fate: fateOf(row, expert) }),
    ...(score === undefined || score.name === 'use' || value === undefined
      ? []
      : [text('planExpertScore', { score: score.title, value: formatScore(score, value) })]),
    ...(use === undefined ? [] : [text('planExpertUse', { share: formatShare(use) })]),
    ...(row.weak.has(expert) ? [text('planExpertTooFew')] : []),
  ];
  return parts.join(text('planListSeparator'));
}

/** An expert in the table: words, so that nothing depends on colour. */
export function expertCell(row: ExpertRow, expert: number, score: ExpertScore | undefined): string {
  const mark = markOf(row, expert);
  if (mark === 'none') {
    return '';
  }
  const word = text(
    mark === 'pruned' ? 'planExpertPruned' : mark === 'merged' ? 'planExpertMergedWord' : 'planExpertKept',
  );
  const group = row.groups.get(expert);
  const placed = group === undefined ? word : text('planExpertGroup', { word, group: group.number });
  const value = row.scores?.[expert];
  return score === undefined || value === undefined ? placed : `${placed} ${formatScore(score, value)}`;
}

/** All experts in a sentence. */
export function expertSentence(rows: readonly ExpertRow[]): string {
  const { experts, kept, merged } = countExperts(rows);
  const left = kept - merged;
  const share = formatShare(experts === 0 ? 0 : left / experts);
  return text('planExpertSentence', { layers: rows.length, experts, kept, merged, left, share });
}

/** Which rule gave an expert its fate. */
function ruleOf(row: ExpertRow, expert: number, { prune, merge }: PlanView['plan']): string {
  const method = prune?.chosen ?? prune?.method ?? '';
  const kept = row.kept.has(expert);
  const byHand = row.prunedTo !== undefined && row.prunedTo.has(expert) !== kept;
  const pruneRule =
    prune === undefined
      ? text('planRuleNoPrune')
      : byHand
        ? text(kept ? 'planRuleKeptByHand' : 'planRulePrunedByHand', { method })
        : prune.method === 'by-hand'
          ? text('planRuleChosenByHand')
          : text('planRulePrune', { method });
  const group = row.groups.get(expert);
  const mergeRule =
    merge === undefined || group === undefined
      ? undefined
      : text('planRuleMergeGroup', { method: merge.method, group: group.number, members: group.members.join(', ') });
  return [pruneRule, mergeRule].filter((rule) => rule !== undefined).join(' ');
}

function scoreNumber(row: ExpertRow, expert: number, score: ExpertScore | undefined): string[] {
  const value = row.scores?.[expert];
  if (score === undefined || value === undefined || row.scores === undefined) {
    return [];
  }
  const place = { rank: rankOf(row.scores, expert), experts: row.experts };
  // The use stands in a sentence of its own.
  return score.name === 'use'
    ? [text('planNumberPlace', place)]
    : [text('planNumberScore', { ...place, score: score.title, value: formatScore(score, value, 4) })];
}

/** Why an expert stays, goes or is merged. */
export function explainExpert(
  row: ExpertRow,
  expert: number,
  { plan, measurements }: PlanView,
  score: ExpertScore | undefined,
): Explanation {
  const { prune, merge } = plan;
  const { expertUse } = measurements;
  const use = row.use?.[expert];
  const numbers = [
    ...scoreNumber(row, expert, score),
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
    ...(score === undefined ? [] : [text('planSourceScore', { rule: score.rule, source: score.source })]),
    ...(score?.stale === true ? [text('staleText')] : []),
  ];
  return {
    title: text('planExpertTitle', { layer: row.name, expert }),
    rule: ruleOf(row, expert, plan),
    number: numbers.join(' '),
    source: source.join(' '),
  };
}
