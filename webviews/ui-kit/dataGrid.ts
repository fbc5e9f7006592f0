import { text } from '../strings';
import { element, setText, uniqueId } from './elements';
import { clampPosition, moveByKey, stretchStart } from './gridCursor';
import type { GridMode, GridPosition } from './gridCursor';

/** The numbers behind a chart. `cell` is asked for positions counted from 0. */
export interface GridModel {
  readonly label: string;
  /** Header of the column of row headers. */
  readonly corner: string;
  readonly columnHeaders: readonly string[];
  readonly rowHeaders: readonly string[];
  cell(row: number, column: number): string;
  /** Whether this cell (in `rows` mode: this row) is part of the current choice. */
  isChosen(row: number, column: number): boolean;
}

export interface DataGridOptions {
  readonly mode: GridMode;
  readonly hint: string;
  /** The person moved the cursor. */
  readonly onMove: (position: GridPosition) => void;
  /** The person pressed Enter or the space bar. */
  readonly onActivate: (position: GridPosition) => void;
}

/** An ARIA grid with one tab stop. Grids above {@link maximumCells} keep only a stretch around the cursor in the page. */
export interface DataGrid {
  readonly root: HTMLElement;
  readonly position: GridPosition;
  update(model: GridModel): void;
  setPosition(position: GridPosition): void;
  /** Shows the table, or keeps it for the keyboard and assistive technology alone, as it is at first. */
  show(shown: boolean): void;
  focus(): void;
}

/** Most cells kept in the page. */
export const maximumCells = 1600;
/** What is kept of each axis beyond that: a tableful for the eye, fewer where only the cell under the cursor is read out. */
const shownStretch = { rows: 24, columns: 12 };
const hiddenStretch = { rows: 9, columns: 5 };

export function createDataGrid(options: DataGridOptions): DataGrid {
  const hintId = uniqueId('hint');
  const head = element('thead');
  const body = element('tbody');
  const table = element(
    'table',
    { className: 'data-grid', attributes: { role: 'grid', tabindex: '0', 'aria-describedby': hintId } },
    [head, body],
  );
  const hint = element('p', { className: 'visually-hidden', text: options.hint, attributes: { id: hintId } });
  const stretchNote = element('p', { className: 'note' });
  const scroller = element('div', { className: 'grid-scroller' }, [table]);
  const root = element('div', { className: 'grid-twin' }, [hint, scroller, stretchNote]);

  let model: GridModel = {
    label: '',
    corner: '',
    columnHeaders: [],
    rowHeaders: [],
    cell: () => '',
    isChosen: () => false,
  };
  let stretch = hiddenStretch;
  let position: GridPosition = { row: 0, column: 0 };
  let start: GridPosition = { row: 0, column: 0 };
  /** Cells in the page with their positions, and the elements the cursor can be on. */
  let cells: { readonly target: HTMLElement; readonly row: number; readonly column: number }[] = [];
  let targets = new Map<string, HTMLElement>();
  let active: HTMLElement | undefined;

  const size = (): { rows: number; columns: number } => ({
    rows: model.rowHeaders.length,
    columns: model.columnHeaders.length,
  });
  const keyOf = (row: number, column: number): string =>
    options.mode === 'rows' ? String(row) : `${String(row)}:${String(column)}`;

  function render(): void {
    const { rows, columns } = size();
    const whole = rows * columns <= maximumCells;
    const rowCount = whole ? rows : Math.min(rows, stretch.rows);
    const columnCount = whole || options.mode === 'rows' ? columns : Math.min(columns, stretch.columns);
    start = {
      row: stretchStart(position.row, rows, rowCount, start.row),
      column: stretchStart(position.column, columns, columnCount, start.column),
    };
    table.setAttribute('aria-label', model.label);
    table.setAttribute('aria-rowcount', String(rows + 1));
    table.setAttribute('aria-colcount', String(columns + 1));
    targets = new Map();
    cells = [];

    const headings = [element('th', { text: model.corner, attributes: { scope: 'col', 'aria-colindex': '1' } })];
    for (let column = start.column; column < start.column + columnCount; column += 1) {
      const attributes = { scope: 'col', 'aria-colindex': String(column + 2) };
      headings.push(element('th', { text: model.columnHeaders[column] ?? '', attributes }));
    }
    head.replaceChildren(element('tr', { attributes: { 'aria-rowindex': '1' } }, headings));
    const lines: HTMLElement[] = [];
    for (let row = start.row; row < start.row + rowCount; row += 1) {
      lines.push(renderRow(row, columnCount));
    }
    body.replaceChildren(...lines);
    const range = {
      firstRow: start.row + 1,
      lastRow: start.row + rowCount,
      rows,
      firstColumn: start.column + 1,
      lastColumn: start.column + columnCount,
      columns,
    };
    setText(stretchNote, whole ? '' : text('windowedTable', range));
    markActive();
  }

  function renderRow(row: number, columnCount: number): HTMLElement {
    const heading = { text: model.rowHeaders[row] ?? '', attributes: { scope: 'row', 'aria-colindex': '1' } };
    const line = element('tr', { attributes: { 'aria-rowindex': String(row + 2) } }, [element('th', heading)]);
    for (let column = start.column; column < start.column + columnCount; column += 1) {
      const attributes = { role: 'gridcell', 'aria-colindex': String(column + 2) };
      const cell = element('td', { text: model.cell(row, column), attributes });
      cells.push({ target: cell, row, column });
      if (options.mode === 'cells') {
        prepareTarget(cell, row, column);
      }
      line.append(cell);
    }
    if (options.mode === 'rows') {
      prepareTarget(line, row, 0);
    }
    return line;
  }

  /** New values in the old cells: faster than new cells, and what has the cursor stays the same element. */
  function refill(): void {
    for (const { target, row, column } of cells) {
      setText(target, model.cell(row, column));
    }
    for (const target of targets.values()) {
      const { row, column } = placeOf(target);
      const chosen = String(model.isChosen(row, column));
      if (target.getAttribute('aria-selected') !== chosen) {
        target.setAttribute('aria-selected', chosen);
      }
    }
  }

  function prepareTarget(target: HTMLElement, row: number, column: number): void {
    target.id = uniqueId('cell');
    target.dataset['row'] = String(row);
    target.dataset['column'] = String(column);
    target.setAttribute('aria-selected', String(model.isChosen(row, column)));
    targets.set(keyOf(row, column), target);
  }

  function markActive(): void {
    active?.classList.remove('active');
    active = targets.get(keyOf(position.row, position.column));
    if (active === undefined) {
      table.removeAttribute('aria-activedescendant');
      return;
    }
    active.classList.add('active');
    table.setAttribute('aria-activedescendant', active.id);
  }

  function moveTo(next: GridPosition): void {
    position = clampPosition(next, size());
    if (targets.has(keyOf(position.row, position.column))) {
      markActive();
    } else {
      render();
    }
    revealActive();
  }

  function revealActive(): void {
    if (active !== undefined && root.classList.contains('shown')) {
      active.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    }
  }

  table.addEventListener('keydown', (event) => {
    const next = moveByKey(position, event.key, event.ctrlKey || event.metaKey, size(), options.mode);
    if (next !== undefined) {
      event.preventDefault();
      moveTo(next);
      options.onMove(position);
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      options.onActivate(position);
    }
  });
  body.addEventListener('click', (event) => {
    const target = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-row]') : null;
    if (target !== null) {
      moveTo(placeOf(target));
      options.onMove(position);
    }
  });
  body.addEventListener('dblclick', () => {
    options.onActivate(position);
  });

  return {
    root,
    get position() {
      return position;
    },
    update: (next) => {
      const sameShape = shapeOf(model) === shapeOf(next);
      model = next;
      if (sameShape) {
        refill();
        return;
      }
      position = clampPosition(position, size());
      render();
    },
    setPosition: moveTo,
    show: (shown) => {
      root.classList.toggle('shown', shown);
      stretch = shown ? shownStretch : hiddenStretch;
      render();
    },
    focus: () => {
      table.focus({ preventScroll: true });
    },
  };
}

function placeOf(target: HTMLElement): GridPosition {
  return { row: Number(target.dataset['row']), column: Number(target.dataset['column']) };
}

/** Everything about a model but its values. */
function shapeOf({ label, corner, columnHeaders, rowHeaders }: GridModel): string {
  return JSON.stringify([label, corner, columnHeaders, rowHeaders]);
}
