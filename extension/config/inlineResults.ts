import { budgetLine, budgetMarkdown } from './budgetText';
import { localize } from '../common/localize';
import type { CheckpointEntry } from './checkpointStore';
import type { ConfigEntry, ConfigFacts } from './configFacts';
import { evaluationLine, evaluationMarkdown, sensitivityLine, sensitivityMarkdown } from './resultText';
import { isProfileStale, isResultStale } from './staleness';

/** A result shown at the end of a line of `config.json`, with the table its hover holds. */
export interface InlineResult {
  readonly anchor: ConfigEntry;
  readonly text: string;
  readonly markdown: string;
  readonly stale: boolean;
}

/**
 * The results that belong to the lines of a `config.json`: sensitivity and budgets to the active-expert count, quality to the
 * model.
 * A result is stale when the checkpoint changed since, or when the text names another active-expert count.
 */
export function inlineResults(facts: ConfigFacts, entry: CheckpointEntry | undefined): InlineResult[] {
  const results: InlineResult[] = [];
  const { summary, profile, budget, evaluations } = entry ?? { evaluations: [] };
  const active = facts.activeExperts;
  if (profile !== undefined && active !== undefined) {
    const stale = isProfileStale(profile, summary) || active.value !== profile.activeExperts;
    results.push({ anchor: active, text: sensitivityLine(profile), markdown: sensitivityMarkdown(profile), stale });
  }
  if (budget !== undefined && summary !== undefined && active !== undefined) {
    const text = budgetLine(budget, summary);
    const edited = typeof active.value === 'number' && active.value !== summary.activeExperts;
    const stale = edited || isResultStale(budget, summary);
    if (text !== undefined) {
      results.push({ anchor: active, text, markdown: budgetMarkdown(budget, summary), stale });
    }
  }
  const line = evaluationLine(evaluations);
  const newest = evaluations.at(-1);
  const anchor = facts.modelType ?? facts.experts;
  if (line !== undefined && newest !== undefined && anchor !== undefined) {
    const stale = isResultStale(newest, summary);
    results.push({ anchor, text: line, markdown: evaluationMarkdown(evaluations), stale });
  }
  return results.map((result) =>
    result.stale
      ? {
          ...result,
          text: localize('{text} · stale', { text: result.text }),
          markdown: `${localize('_Stale: measured before the checkpoint changed._')}\n\n${result.markdown}`,
        }
      : result,
  );
}
