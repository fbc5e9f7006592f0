import type { ExpertGridData } from '../charts/expertGrid';
import type { Plan, PlanQuantize } from '../../engine/protocol/plan';
import { text } from '../strings';
import type { BitsCell } from './bitsGestures';
import { expertBits, layerBits, meanBits, projections, remainingExperts } from './bitsModel';
import type { Projection, ProjectionBits } from './bitsModel';
import type { LayerState } from './layerState';

/** What the grid of bits shows: projections of layers, or the experts of one projection. */
export type BitsShown = 'projections' | Projection;

export const bitsShownNames: readonly BitsShown[] = ['projections', ...projections];

/** One cell of the grid: which weights it stands for, and their bits. */
export interface BitsPlace extends BitsCell {
  readonly bits: ProjectionBits;
  /** The number that a single expert has in the checkpoint. */
  readonly expert?: number;
}

/** The bits of a plan as a grid of layers by projections, or of layers by experts. */
export class BitsGrid {
  readonly columns: number;
  /** How many experts each layer has left. */
  readonly remaining: readonly number[];
  private readonly experts: readonly (readonly number[])[];

  constructor(
    plan: Plan,
    readonly quantize: PlanQuantize,
    private readonly layers: readonly LayerState[],
    private readonly shown: BitsShown,
  ) {
    const counts = layers.map(({ experts }) => experts);
    this.experts = remainingExperts(plan, counts);
    this.remaining = this.experts.map(({ length }) => length);
    this.columns = shown === 'projections' ? projections.length : Math.max(0, ...counts);
  }

  get columnHeaders(): readonly string[] {
    return this.shown === 'projections'
      ? projections
      : Array.from({ length: this.columns }, (_, expert) => String(expert));
  }

  get rowHeaders(): readonly string[] {
    return this.layers.map(({ name }) => name);
  }

  get columnTitle(): string {
    return text(this.shown === 'projections' ? 'planProjectionAxis' : 'planExpertAxis');
  }

  /** What a cell stands for; undefined where the plan lists no bits, or the expert is gone. */
  place(position: number, column: number): BitsPlace | undefined {
    const layer = this.quantize.layers[position];
    const { shown } = this;
    if (shown === 'projections') {
      const projection = projections[column];
      const bits = projection && layerBits(layer, projection);
      return projection === undefined || bits === undefined ? undefined : { position, projection, bits };
    }
    const order = this.experts[position]?.indexOf(column) ?? -1;
    const all = layerBits(layer, shown);
    const bits = all === undefined || order < 0 ? undefined : expertBits(all, order);
    return bits === undefined ? undefined : { position, projection: shown, order, expert: column, bits };
  }

  /** Places of cells that are counted row by row. */
  places(cells: Iterable<number>): BitsPlace[] {
    return [...cells].flatMap((cell) => this.place(Math.floor(cell / this.columns), cell % this.columns) ?? []);
  }

  data(selected: ReadonlySet<number>): ExpertGridData {
    const rows = this.layers.length;
    const scores = Float64Array.from({ length: rows * this.columns }, (_, cell) => {
      const place = this.place(Math.floor(cell / this.columns), cell % this.columns);
      return place === undefined ? Number.NaN : meanBits(place.bits);
    });
    return {
      scores,
      rows,
      columns: this.columns,
      rowHeaders: this.rowHeaders,
      columnHeaders: this.columnHeaders,
      rowTitle: text('layerAxis'),
      columnTitle: this.columnTitle,
      marks: [],
      labels: Array.from(scores, (bits) => (Number.isInteger(bits) ? bits : undefined)),
      selected,
    };
  }
}
