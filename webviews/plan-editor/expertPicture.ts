import type { ExpertGridData } from '../charts/expertGrid';
import { text } from '../strings';
import type { GridModel } from '../ui-kit/dataGrid';
import { markOf } from './expertModel';
import type { ExpertRow } from './expertModel';
import type { ExpertScore } from './expertScores';
import { expertCell } from './expertText';

/** The experts of a plan as a grid of colours and as a table of words, both with the same headers. */
export class ExpertPicture {
  rows: readonly ExpertRow[] = [];
  score: ExpertScore | undefined;
  columns = 0;
  private painted: { readonly key: unknown; readonly values: Float64Array } | undefined;

  update(rows: readonly ExpertRow[], score: ExpertScore | undefined): void {
    this.rows = rows;
    this.score = score;
    this.columns = Math.max(0, ...rows.map(({ experts }) => experts));
  }

  /** The grid of colours. */
  data(selected: ReadonlySet<number>): ExpertGridData {
    const { rows, columns } = this;
    const merged = rows.some(({ groups }) => groups.size > 0);
    return {
      rows: rows.length,
      columns,
      ...this.headers(),
      scores: this.scores(),
      marks: this.cellsOf(markOf),
      labels: merged ? this.cellsOf((row, expert) => row.groups.get(expert)?.number) : [],
      flagged: new Set(rows.flatMap((row) => [...row.weak].map((expert) => row.position * columns + expert))),
      selected,
      rowTitle: text('layerAxis'),
      columnTitle: text('planExpertAxis'),
    };
  }

  /** The table of words. */
  table(selected: ReadonlySet<number>): GridModel {
    const { rows, columns, score } = this;
    return {
      label: text('planExpertGrid'),
      corner: text('layerAxis'),
      ...this.headers(),
      cell: (row, column) => {
        const layer = rows[row];
        return layer === undefined ? '' : expertCell(layer, column, score);
      },
      isChosen: (row, column) => selected.has(row * columns + column),
    };
  }

  private headers(): Pick<GridModel, 'rowHeaders' | 'columnHeaders'> {
    return {
      rowHeaders: this.rows.map(({ name }) => name),
      columnHeaders: Array.from({ length: this.columns }, (_, expert) => String(expert)),
    };
  }

  private cellsOf<Value>(value: (row: ExpertRow, expert: number) => Value): Value[] {
    return this.rows.flatMap((row) => Array.from({ length: this.columns }, (_, expert) => value(row, expert)));
  }

  /** The same object as long as the scores are the same: the bitmap is painted only when they change. */
  private scores(): Float64Array {
    const key = this.score?.rows;
    const size = this.rows.length * this.columns;
    if (this.painted === undefined || this.painted.key !== key || this.painted.values.length !== size) {
      const values = new Float64Array(size).fill(Number.NaN);
      for (const { scores = [], position } of this.rows) {
        values.set(scores, position * this.columns);
      }
      this.painted = { key, values };
    }
    return this.painted.values;
  }
}
