import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { ScatterData, ScatterKind } from '../charts/scatterData';
import { text } from '../strings';
import type { StringName } from '../strings';
import { formatDecimals, formatSigned } from '../ui-kit/numbers';
import { runLabel } from './evaluationModel';

/** One measured plan: what its experts weigh and what it does to the perplexity. */
export interface PlanPoint {
  readonly label: string;
  /** The plan alone, for the chart. */
  readonly name: string;
  readonly kind: ScatterKind;
  readonly finished: string;
  /** Bytes of the routed experts as the plan stores them. */
  readonly bytes: number;
  /** Relative change of the geometric mean perplexity, in percent. */
  readonly change: number;
  /** Whether no other plan is both smaller (or as small) and better. */
  readonly onFront: boolean;
}

/** Names of the kinds, and whether two of them are worth comparing at the same size. */
export const kindNames = {
  unchanged: 'kindUnchanged',
  prune: 'kindPrune',
  merge: 'kindMerge',
  quantize: 'kindQuantize',
  several: 'kindSeveral',
} as const satisfies Record<ScatterKind, StringName>;

const percent = 100;
const bytesPerMegabyte = 1e6;
/** Plans whose sizes differ by less than this share count as equally large. */
const sameSize = 0.15;

/** Key of what a run measured: a later run of the same plan replaces an earlier one. */
function keyOf({ plan, activeExperts, expertBytes }: EvaluateResult): string {
  return plan ?? `${activeExperts.join()}:${String(expertBytes)}`;
}

function kindOf({ changes = [] }: EvaluateResult): ScatterKind {
  const [only, another] = changes;
  return only === undefined || another !== undefined ? 'several' : only;
}

function planName(run: EvaluateResult): string {
  return (run.plan?.split(/[\\/]/).at(-1) ?? runLabel(run)).replace(/\.moeplan\.json$/, '');
}

/**
 * The newest run of every plan that changed the weights of the experts, and the model itself as the point without change: those on
 * the front first, the smallest first. Nothing without a plan that changes the size.
 */
export function planPointsOf(evaluations: readonly EvaluateResult[]): readonly PlanPoint[] {
  const newest = new Map<string, EvaluateResult>();
  for (const run of evaluations) {
    if (run.weightsChanged === true && run.expertBytes !== undefined) {
      newest.set(keyOf(run), run);
    }
  }
  const measured = [...newest.values()].flatMap((run) => {
    const { geometricMeanPerplexity: after, baselineGeometricMeanPerplexity: before, expertBytes = 0 } = run;
    const point = { label: runLabel(run), name: planName(run), kind: kindOf(run), finished: run.finished };
    return after === undefined || before === undefined
      ? []
      : [{ ...point, bytes: expertBytes, change: (after / before - 1) * percent }];
  });
  const original = evaluations.findLast(({ originalExpertBytes }) => originalExpertBytes !== undefined);
  if (measured.length === 0 || original?.originalExpertBytes === undefined) {
    return [];
  }
  const unchanged = {
    label: text('planFrontUnchanged'),
    name: text('planFrontUnchanged'),
    kind: 'unchanged' as const,
    finished: '',
    bytes: original.originalExpertBytes,
    change: 0,
  };
  const points = [...measured, unchanged].sort((one, other) => one.bytes - other.bytes || one.change - other.change);
  const ranked = points.map((point) => ({
    ...point,
    onFront: !points.some(
      (other) =>
        other.bytes <= point.bytes &&
        other.change <= point.change &&
        (other.bytes < point.bytes || other.change < point.change),
    ),
  }));
  return [...ranked.filter(({ onFront }) => onFront), ...ranked.filter(({ onFront }) => !onFront)];
}

/** The points as the chart takes them. */
export function planFrontData(points: readonly PlanPoint[]): ScatterData {
  return {
    points: points.map(({ name, kind, bytes, change, onFront }) => ({
      x: bytes / bytesPerMegabyte,
      y: change,
      kind,
      label: name,
      onFront,
    })),
    xTitle: text('planFrontAxis'),
    yTitle: text('perplexityAxis'),
  };
}

/** One point as a line of text. */
export function planPointSentence({ label, kind, bytes, change, onFront }: PlanPoint): string {
  const size = formatDecimals(bytes / bytesPerMegabyte, 1);
  const values = { label, kind: text(kindNames[kind]), size, change: formatSigned(change, 2) };
  return text(onFront ? 'planFrontBest' : 'planFrontPoint', values);
}

/**
 * The same bytes in two ways: for every two of pruning, merging and quantizing, the plans of these kinds whose sizes are nearest,
 * where they are about the same; the better one first.
 */
export function sameSizeSentences(points: readonly PlanPoint[]): string[] {
  const kinds = ['prune', 'merge', 'quantize'] as const;
  const pairs = kinds.flatMap((kind, at) => kinds.slice(at + 1).map((other) => [kind, other] as const));
  return pairs.flatMap(([one, other]) => {
    const candidates = points
      .filter(({ kind }) => kind === one)
      .flatMap((first) =>
        points.filter(({ kind }) => kind === other).map((second) => ({ first, second, apart: apart(first, second) })),
      )
      .filter((pair) => pair.apart <= sameSize)
      .sort((left, right) => left.apart - right.apart);
    const nearest = candidates[0];
    if (nearest === undefined) {
      return [];
    }
    const { first, second } = nearest;
    const [better, worse] = first.change <= second.change ? [first, second] : [second, first];
    return [text('planSameSize', { better: sizeAndChange(better), worse: sizeAndChange(worse) })];
  });
}

function apart(one: PlanPoint, other: PlanPoint): number {
  return Math.abs(one.bytes - other.bytes) / Math.max(one.bytes, other.bytes, 1);
}

function sizeAndChange({ name, kind, bytes, change }: PlanPoint): string {
  const size = formatDecimals(bytes / bytesPerMegabyte, 1);
  return text('planSizeAndChange', { name, kind: text(kindNames[kind]), size, change: formatSigned(change, 2) });
}
