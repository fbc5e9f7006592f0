import type { GridPosition, GridSize } from '../ui-kit/gridCursor';

/** The rectangle that the cells fill, in CSS pixels of the canvas. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The cell under a point of the canvas, or undefined outside the cells. */
export function cellAt(area: Area, size: GridSize, x: number, y: number): GridPosition | undefined {
  const column = Math.floor(((x - area.left) / area.width) * size.columns);
  const row = Math.floor(((y - area.top) / area.height) * size.rows);
  const inside = column >= 0 && column < size.columns && row >= 0 && row < size.rows;
  return inside ? { row, column } : undefined;
}

/** The rectangle of one cell. */
export function cellArea(area: Area, size: GridSize, position: GridPosition): Area {
  const width = area.width / size.columns;
  const height = area.height / size.rows;
  return { left: area.left + position.column * width, top: area.top + position.row * height, width, height };
}

const tallestRow = 16;
const comfortableHeight = 320;
/** Rows lower than this are hard to hit and to tell apart, so a map of many layers grows instead. */
const lowestRow = 4;

/** Height of the cells together, in CSS pixels: rows as tall as fit, but never too low to be seen. */
export function cellsHeight(rows: number): number {
  return rows * Math.max(lowestRow, Math.min(tallestRow, Math.floor(comfortableHeight / Math.max(1, rows))));
}
