import type { PlanMeasurements, PlanScores } from '../../engine/protocol/planEditor';
import type { PruneMethodName } from '../../engine/protocol/pruning';
import { text } from '../strings';
import { formatInteger, formatMeasured, formatShare } from '../ui-kit/numbers';
import type { PlanView } from './layerState';

/** One opinion about every expert: how often text chose it, or what a pruning method thinks of it. */
export interface ExpertScore {
  /** `use`, or the name of the method. */
  readonly name: string;
  readonly title: string;
  /** What a high score means. */
  readonly rule: string;
  readonly source: string;
  /** By MoE layer in order and expert; the higher, the more the expert is needed. */
  readonly rows: readonly (readonly number[])[];
  /** Shares of the tokens, shown in percent. */
  readonly isShare: boolean;
  readonly stale: boolean;
  /** What a plan that follows this score names as its method. */
  readonly method: PruneMethodName;
  readonly calibrationTokens: number | undefined;
}

type ExpertUse = NonNullable<PlanMeasurements['expertUse']>;

/** Made once per message, so that equal scores are the same object. */
const madeOfUse = new WeakMap<ExpertUse, ExpertScore>();
const madeOfScores = new WeakMap<PlanScores, ExpertScore>();

function remember<Key extends object>(made: WeakMap<Key, ExpertScore>, key: Key, make: () => ExpertScore): ExpertScore {
  const score = made.get(key) ?? make();
  made.set(key, score);
  return score;
}

function useScore(use: ExpertUse): ExpertScore {
  const { counts, tokens, stale } = use;
  return {
    name: 'use',
    title: text('planScoreUse'),
    rule: text('planScoreUseRule'),
    source: text('planSourceUse', { tokens: formatInteger(tokens) }),
    rows: counts.map((layer) => layer.map((count) => count / Math.max(1, tokens))),
    isShare: true,
    stale,
    method: 'frequency',
    calibrationTokens: tokens,
  };
}

function sourceOf({ reference, tasks, calibrationTokens }: PlanScores): string {
  const published = text('planScoreReference', { reference });
  if (calibrationTokens === undefined) {
    return `${text('planScoreWeights')} ${published}`;
  }
  const tokens = formatInteger(calibrationTokens);
  const measured =
    tasks.length === 0
      ? text('planScoreText', { tokens })
      : text('planScoreTasks', { tokens, tasks: tasks.join(', ') });
  return `${measured} ${published}`;
}

function methodScore(scores: PlanScores): ExpertScore {
  const { method, title, rule, rows, stale, calibrationTokens } = scores;
  return {
    name: method,
    title,
    rule,
    source: sourceOf(scores),
    rows,
    isShare: false,
    stale,
    method,
    calibrationTokens,
  };
}

/** Every score that fits the layers: the use of the experts first, then the methods. */
export function knownScores({
  measurements,
  scores,
}: Pick<PlanView, 'measurements' | 'scores'>): readonly ExpertScore[] {
  const { expertUse, scored } = measurements;
  const use = expertUse === undefined ? [] : [remember(madeOfUse, expertUse, () => useScore(expertUse))];
  const methods = scored.flatMap((name) => {
    const found = scores.get(name);
    // Counting the choices of all text is what the use shows already.
    const repeated = name === 'frequency' && use.length > 0 && found?.tasks.length === 0;
    return found === undefined || repeated ? [] : [remember(madeOfScores, found, () => methodScore(found))];
  });
  return [...use, ...methods];
}

/** The score that is shown: the chosen one, else that of the plan's method, else the first that belongs to the weights as they are. */
export function scoreInUse(
  known: readonly ExpertScore[],
  chosen: string | undefined,
  { prune }: PlanView['plan'],
): ExpertScore | undefined {
  return (
    known.find(({ name }) => name === chosen) ??
    known.find(({ name, stale }) => !stale && (name === prune?.chosen || name === prune?.method)) ??
    known.find(({ stale }) => !stale) ??
    known[0]
  );
}

/** A score as a person reads it. */
export function formatScore({ isShare }: Pick<ExpertScore, 'isShare'>, value: number, digits = 3): string {
  return isShare ? formatShare(value, digits - 2) : formatMeasured(value, digits);
}

/** Place of an expert in its layer, 1 for the most needed; equal scores share the better place. */
export function rankOf(scores: readonly number[], expert: number): number {
  const own = scores[expert] ?? Number.NaN;
  return 1 + scores.filter((score) => score > own).length;
}

/** A score below which about a tenth of all experts lie: where a search for a threshold may begin. */
export function usualThreshold({ rows, isShare }: ExpertScore): number {
  const all = rows.flat().sort((one, other) => one - other);
  const value = all[Math.floor(all.length / 10)] ?? 0;
  return Number((isShare ? value * 100 : value).toPrecision(2));
}
