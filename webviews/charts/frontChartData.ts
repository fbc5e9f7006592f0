/** One choice on the front; `y` is null where the objective predicts nothing. */
export interface FrontMark {
  readonly x: number;
  readonly y: number | null;
}

export interface FrontChartData {
  readonly points: readonly FrontMark[];
  /** Index into points of the plan's choice, -1 for none. */
  readonly chosen: number;
  /** The uniform allocation of the plan's cost, as a control. */
  readonly control: FrontMark | undefined;
  /** Measured points, on an axis of their own at the right. */
  readonly measured: readonly { readonly x: number; readonly y: number }[];
  readonly costTitle: string;
  readonly predictedTitle: string;
  readonly measuredTitle: string;
}
