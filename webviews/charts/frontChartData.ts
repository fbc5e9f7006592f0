/** One choice on the front; `y` is null where the objective predicts nothing. */
export interface FrontMark {
  readonly x: number;
  readonly y: number | null;
}

/** The looks of a measured divergence: what a run took, what else it measured, what is there only to compare with. */
export type DivergenceKind = 'taken' | 'candidate' | 'control';

/** A measured KL divergence. */
export interface DivergenceMark {
  readonly x: number;
  readonly y: number;
  readonly kind: DivergenceKind;
  /** Index into the points of the front of the same cost, -1 for none. */
  readonly row: number;
}

export interface FrontChartData {
  readonly points: readonly FrontMark[];
  /** What the plan's own allocation is predicted to lose. */
  readonly plan: FrontMark | undefined;
  /** The uniform allocation of the plan's cost, as a control. */
  readonly control: FrontMark | undefined;
  /** Measured points of evaluations, on an axis of their own at the right. */
  readonly measured: readonly { readonly x: number; readonly y: number }[];
  readonly divergences: readonly DivergenceMark[];
  /** The axis that divergences are drawn on: that of the predictions where those are divergences too. */
  readonly divergenceAxis: 'predicted' | 'measured';
  readonly costTitle: string;
  readonly predictedTitle: string;
  readonly measuredTitle: string;
}
