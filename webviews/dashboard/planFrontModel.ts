import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { FrontChartData } from '../charts/frontChartData';
import { text } from '../strings';
import { formatDecimals, formatSigned } from '../ui-kit/numbers';
import { runLabel } from './evaluationModel';

/** One measured plan: what its experts weigh and what it does to the perplexity. */
export interface PlanPoint {
  readonly label: string;
  readonly finished: string;
  /** Bytes of the routed experts as the plan stores them. */
  readonly bytes: number;
  /** Relative change of the geometric mean perplexity, in percent. */
  readonly change: number;
  /** Whether no other plan is both smaller (or as small) and better. */
  readonly onFront: boolean;
}

const percent = 100;
const bytesPerMegabyte = 1e6;

/** Key of what a run measured: a later run of the same plan replaces an earlier one. */
function keyOf({ plan, activeExperts, expertBytes }: EvaluateResult): string {
  return plan ?? `${activeExperts.join()}:${String(expertBytes)}`;
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
    return after === undefined || before === undefined
      ? []
      : [{ label: runLabel(run), finished: run.finished, bytes: expertBytes, change: (after / before - 1) * percent }];
  });
  const original = evaluations.findLast(({ originalExpertBytes }) => originalExpertBytes !== undefined);
  if (measured.length === 0 || original?.originalExpertBytes === undefined) {
    return [];
  }
  const unchanged = {
    label: text('planFrontUnchanged'),
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

/** The points as the chart takes them: the front as a line, the plans behind it as marks. */
export function planFrontData(points: readonly PlanPoint[]): FrontChartData {
  return {
    points: points
      .filter(({ onFront }) => onFront)
      .map(({ bytes, change }) => ({ x: bytes / bytesPerMegabyte, y: change })),
    plan: undefined,
    control: undefined,
    measured: [],
    divergences: points.flatMap(({ bytes, change, onFront }, row) =>
      onFront ? [] : [{ x: bytes / bytesPerMegabyte, y: change, kind: 'candidate' as const, row }],
    ),
    divergenceAxis: 'predicted',
    costTitle: text('planFrontAxis'),
    predictedTitle: text('perplexityAxis'),
    measuredTitle: '',
  };
}

/** One point as a line of text. */
export function planPointSentence({ label, bytes, change, onFront }: PlanPoint): string {
  const values = { label, size: formatDecimals(bytes / bytesPerMegabyte, 1), change: formatSigned(change, 2) };
  return text(onFront ? 'planFrontBest' : 'planFrontPoint', values);
}
