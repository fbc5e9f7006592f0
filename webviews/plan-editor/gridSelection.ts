import type { ChartFigure } from '../charts/chartFigure';
import type { ExpertGrid } from '../charts/expertGrid';
import { Cleanup } from '../ui-kit/elements';
import type { GridPosition } from '../ui-kit/gridCursor';
import { cellsIn } from './cellRange';
import { listenToLasso } from './lasso';

/** What a selection needs to know of the grid it is in. */
export interface SelectedGrid {
  readonly figure: ChartFigure;
  readonly chart: () => ExpertGrid | undefined;
  readonly columns: () => number;
  readonly onChange: () => void;
}

/** Cells chosen by a rectangle of the pointer, or by Shift with the arrow keys; Escape forgets them. */
export class GridSelection {
  /** Counted row by row. */
  cells: ReadonlySet<number> = new Set();
  private extending = false;
  private anchor: GridPosition | undefined;
  private readonly cleanup = new Cleanup();

  constructor(private readonly grid: SelectedGrid) {
    const { figure, chart, columns } = grid;
    const canvas = figure.plot.querySelector('canvas');
    const lasso = listenToLasso(
      figure.plot,
      (event) => {
        const { left = 0, top = 0 } = canvas?.getBoundingClientRect() ?? {};
        return chart()?.hit(event.clientX - left, event.clientY - top);
      },
      (range, added) => {
        const cells = cellsIn(range, columns());
        this.select(added ? [...this.cells, ...cells] : cells);
        figure.grid.focus();
      },
    );
    this.cleanup.add(() => {
      lasso.dispose();
    });
    const onKey = (event: KeyboardEvent): void => {
      this.extending = event.shiftKey;
      if (event.key === 'Escape') {
        this.select([]);
      }
    };
    figure.root.addEventListener('keydown', onKey, true);
    this.cleanup.add(() => {
      figure.root.removeEventListener('keydown', onKey, true);
    });
  }

  select(cells: Iterable<number>): void {
    this.cells = new Set(cells);
    this.grid.onChange();
  }

  /** The cursor went from one cell to another. */
  moved(from: GridPosition, to: GridPosition): void {
    if (this.extending) {
      this.anchor ??= from;
      this.select(cellsIn({ from: this.anchor, to }, this.grid.columns()));
    } else {
      this.anchor = undefined;
    }
  }

  dispose(): void {
    this.cleanup.dispose();
  }
}
