/** A position in a grid, counted from 0. */
export interface GridPosition {
  readonly row: number;
  readonly column: number;
}

export interface GridSize {
  readonly rows: number;
  readonly columns: number;
}

/** In `cells` the cursor walks cell by cell; in `rows` it walks row by row, with either pair of arrow keys. */
export type GridMode = 'cells' | 'rows';

const pageRows = 8;

function within(value: number, count: number): number {
  return Math.max(0, Math.min(count - 1, value));
}

/** The nearest position inside the grid. */
export function clampPosition(position: GridPosition, size: GridSize): GridPosition {
  return { row: within(position.row, size.rows), column: within(position.column, size.columns) };
}

/**
 * Where a key moves the cursor, by the ARIA grid pattern: arrows by one, Home and End along the row (with Control to the
 * corners), Page Up and Page Down by eight rows.
 *
 * @returns the new position, or undefined for a key that moves nothing
 */
export function moveByKey(
  position: GridPosition,
  key: string,
  control: boolean,
  size: GridSize,
  mode: GridMode,
): GridPosition | undefined {
  const by = (rows: number, columns: number): GridPosition =>
    clampPosition({ row: position.row + rows, column: position.column + columns }, size);
  const lastRow = size.rows - 1;
  const lastColumn = size.columns - 1;
  switch (key) {
    case 'ArrowUp':
      return by(-1, 0);
    case 'ArrowDown':
      return by(1, 0);
    case 'ArrowLeft':
      return mode === 'rows' ? by(-1, 0) : by(0, -1);
    case 'ArrowRight':
      return mode === 'rows' ? by(1, 0) : by(0, 1);
    case 'PageUp':
      return by(-pageRows, 0);
    case 'PageDown':
      return by(pageRows, 0);
    case 'Home':
      return mode === 'rows' || control ? { row: 0, column: 0 } : { row: position.row, column: 0 };
    case 'End':
      return mode === 'rows' || control
        ? { row: lastRow, column: mode === 'rows' ? 0 : lastColumn }
        : { row: position.row, column: lastColumn };
    default:
      return undefined;
  }
}

/**
 * Start of the stretch of a long axis that is in the page: moves only when the cursor leaves the stretch, and then puts it in the middle.
 */
export function stretchStart(cursor: number, count: number, length: number, previousStart: number): number {
  const furthest = Math.max(0, count - length);
  const inside = cursor >= previousStart && cursor < previousStart + length && previousStart <= furthest;
  return inside ? previousStart : Math.max(0, Math.min(furthest, cursor - Math.floor(length / 2)));
}
