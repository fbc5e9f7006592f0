import type { GridPosition } from '../ui-kit/gridCursor';

/** Two corners of a rectangle of cells. */
export interface CellRange {
  readonly from: GridPosition;
  readonly to: GridPosition;
}

/** The cells of a range, counted row by row. */
export function cellsIn({ from, to }: CellRange, columns: number): number[] {
  const cells: number[] = [];
  for (let row = Math.min(from.row, to.row); row <= Math.max(from.row, to.row); row += 1) {
    for (let column = Math.min(from.column, to.column); column <= Math.max(from.column, to.column); column += 1) {
      cells.push(row * columns + column);
    }
  }
  return cells;
}
