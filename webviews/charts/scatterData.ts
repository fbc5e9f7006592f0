/** What a point of the chart stands for; each has a shape of its own. */
export type ScatterKind = 'unchanged' | 'prune' | 'merge' | 'quantize' | 'several';

export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  readonly kind: ScatterKind;
  /** Written beside the point where there is room. */
  readonly label: string;
  /** Whether the line of the best leads through it. */
  readonly onFront: boolean;
}

export interface ScatterData {
  /** One row of the table each, in its order. */
  readonly points: readonly ScatterPoint[];
  readonly xTitle: string;
  readonly yTitle: string;
}
