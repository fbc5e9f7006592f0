import { Chart } from 'chart.js';
import type { ChartOptions } from 'chart.js';
import type { GridPosition } from '../ui-kit/gridCursor';
import { drawingArea } from './chartArea';
import type { ChartSurface } from './chartFigure';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import { cividisTable } from './colourScale';
import type { ExpertMark } from './expertMark';
import { HeatMapBitmap } from './heatMapBitmap';
import { cellArea, cellAt, cellsHeight } from './heatMapGeometry';
import type { Area } from './heatMapGeometry';
import { valueRange } from './heatMapValues';
import type { ValueRange } from './heatMapValues';
import { registerCharts } from './registration';

export interface ExpertGridData {
  readonly rows: number;
  readonly columns: number;
  readonly rowHeaders: readonly string[];
  readonly columnHeaders: readonly string[];
  /** Score of every expert, row by row; NaN where none is known. The same object as long as they are the same. */
  readonly scores: Float64Array;
  readonly marks: readonly ExpertMark[];
  /** Numbers to write into cells, row by row; none where empty. */
  readonly labels?: readonly (number | undefined)[];
  /** Cells with a warning, counted row by row. */
  readonly flagged?: ReadonlySet<number>;
  readonly selected: ReadonlySet<number>;
  readonly rowTitle: string;
  readonly columnTitle: string;
}

/** Room for the labels and the title of the horizontal axis, in multiples of the font size. */
const axisRoom = 4;
/** Cells smaller than this, in CSS pixels, carry no lines: their marks are shades alone. */
const smallestLined = 6;
/** Share of a cell's height that a number takes, and the largest it gets, in CSS pixels. */
const labelHeight = 0.75;
const largestLabel = 11;
const smallestLabel = 7;
/** Side of the corner that marks a warning, as a share of a cell and at most, in CSS pixels. */
const cornerShare = 0.5;
const largestCorner = 6;
/** How much of a cell's colour a mark leaves. */
const shades: Readonly<Record<ExpertMark, number>> = { none: 1, kept: 1, pruned: 0.16, merged: 0.5 };

/**
 * Layers by experts: colours are scores, pruned experts fade and are crossed out, merged ones fade and are struck through. Numbers name
 * groups where there is room for them; the cells that belong together with the one under the cursor are outlined at any size.
 */
export class ExpertGrid implements ChartSurface {
  range: ValueRange | undefined;
  private data: ExpertGridData | undefined;
  private related: ReadonlySet<number> = new Set();
  private theme: ChartTheme = readChartTheme();
  private readonly table = cividisTable();
  private readonly scores = new HeatMapBitmap();
  private readonly chart: Chart<'bar', number[], string>;

  constructor(private readonly canvas: HTMLCanvasElement) {
    registerCharts();
    this.chart = new Chart<'bar', number[], string>(canvas, {
      type: 'bar',
      data: { labels: [], datasets: [] },
      options: this.chartOptions(),
      plugins: [{ id: 'expertCells', beforeDatasetsDraw: (chart) => this.draw(chart.ctx) }],
    });
  }

  update(data: ExpertGridData): void {
    const before = this.data;
    const sameAxes =
      before?.rowHeaders.join() === data.rowHeaders.join() && before.columnHeaders.join() === data.columnHeaders.join();
    this.data = data;
    if (before?.scores !== data.scores) {
      const map = { rows: data.rows, columns: data.columns, values: data.scores };
      this.range = valueRange(map);
      this.scores.paint(map, this.range, this.table);
    }
    if (sameAxes) {
      this.chart.draw();
      return;
    }
    const height = cellsHeight(data.rows) + this.theme.fontSize * axisRoom;
    if (this.canvas.parentElement !== null) {
      this.canvas.parentElement.style.height = `${String(Math.round(height))}px`;
    }
    this.chart.options = this.chartOptions();
    this.chart.resize();
    this.chart.update('none');
  }

  /** Outlines cells that belong together, counted row by row. */
  relate(cells: ReadonlySet<number>): void {
    const same = cells.size === this.related.size && [...cells].every((cell) => this.related.has(cell));
    this.related = cells;
    if (!same) {
      this.chart.draw();
    }
  }

  hit(x: number, y: number): GridPosition | undefined {
    return this.data === undefined ? undefined : cellAt(drawingArea(this.chart), this.data, x, y);
  }

  place(position: GridPosition): Area | undefined {
    const area = drawingArea(this.chart);
    return this.data === undefined || area.width === 0 ? undefined : cellArea(area, this.data, position);
  }

  applyTheme(): void {
    this.theme = readChartTheme();
    this.chart.options = this.chartOptions();
    this.chart.update('none');
  }

  dispose(): void {
    this.chart.destroy();
  }

  private chartOptions(): ChartOptions<'bar'> {
    const { theme, data } = this;
    const axis = (title: string, labels: readonly string[]): object => ({
      ...axisOptions(theme, title, false),
      type: 'category',
      labels: [...labels],
      offset: true,
    });
    return {
      animation: false,
      events: [],
      responsive: true,
      maintainAspectRatio: false,
      layout: { padding: { top: 1, right: 1 } },
      scales: {
        x: axis(data?.columnTitle ?? '', data?.columnHeaders ?? []),
        y: axis(data?.rowTitle ?? '', data?.rowHeaders ?? []),
      },
    };
  }

  private draw(context: CanvasRenderingContext2D): void {
    const { data, theme } = this;
    const area = drawingArea(this.chart);
    // The chart draws once inside its constructor, before there is anything to draw.
    if (data === undefined || area.width === 0) {
      return;
    }
    const width = area.width / data.columns;
    const height = area.height / data.rows;
    context.save();
    if (this.range === undefined) {
      context.fillStyle = theme.accent;
      data.marks.forEach((mark, cell) => {
        if (mark !== 'none') {
          const { left, top } = this.corner(area, cell);
          context.fillRect(left, top, width, height);
        }
      });
    } else {
      this.scores.draw(context, area.left, area.top, area.width, area.height);
    }
    this.drawMarks(context, area, width, height);
    this.drawLabels(context, area, width, height);
    this.drawFlags(context, area, width, height);
    this.drawOutlines(context, area, width, height, this.related, theme.foreground);
    this.drawOutlines(context, area, width, height, data.selected, theme.second);
    context.strokeStyle = theme.border ?? theme.lines;
    context.lineWidth = 1;
    context.strokeRect(area.left, area.top, area.width, area.height);
    context.restore();
  }

  private corner(area: Area, cell: number): { left: number; top: number } {
    const columns = this.data?.columns ?? 1;
    const rows = this.data?.rows ?? 1;
    return {
      left: area.left + ((cell % columns) * area.width) / columns,
      top: area.top + (Math.floor(cell / columns) * area.height) / rows,
    };
  }

  private drawMarks(context: CanvasRenderingContext2D, area: Area, width: number, height: number): void {
    const { data, theme } = this;
    const lined = Math.min(width, height) >= smallestLined;
    const lines = new Path2D();
    context.fillStyle = theme.page;
    data?.marks.forEach((mark, cell) => {
      if (shades[mark] === 1) {
        return;
      }
      const { left, top } = this.corner(area, cell);
      context.globalAlpha = 1 - shades[mark];
      context.fillRect(left, top, width, height);
      if (lined) {
        lines.moveTo(left + 2, top + height - 2);
        lines.lineTo(left + width - 2, top + 2);
        if (mark === 'pruned') {
          lines.moveTo(left + 2, top + 2);
          lines.lineTo(left + width - 2, top + height - 2);
        }
      }
    });
    context.globalAlpha = 1;
    context.strokeStyle = theme.foreground;
    context.lineWidth = 1;
    context.stroke(lines);
  }

  /** Numbers on a plate of the page's colour, so that they can be read on every colour of the scale. */
  private drawLabels(context: CanvasRenderingContext2D, area: Area, width: number, height: number): void {
    const { data, theme } = this;
    const size = Math.min(largestLabel, Math.floor(height * labelHeight));
    if (size < smallestLabel || data?.labels === undefined) {
      return;
    }
    context.font = `600 ${String(size)}px ${theme.fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    data.labels.forEach((label, cell) => {
      const written = label === undefined ? '' : String(label);
      const plate = context.measureText(written).width + 3;
      if (written === '' || plate > width) {
        return;
      }
      const { left, top } = this.corner(area, cell);
      context.fillStyle = theme.page;
      context.fillRect(left + (width - plate) / 2, top + (height - size) / 2 - 1, plate, size + 1);
      context.fillStyle = theme.foreground;
      context.fillText(written, left + width / 2, top + height / 2);
    });
  }

  /** A corner of the foreground's colour, edged with the page's. */
  private drawFlags(context: CanvasRenderingContext2D, area: Area, width: number, height: number): void {
    const { data, theme } = this;
    const side = Math.min(largestCorner, Math.min(width, height) * cornerShare);
    for (const cell of data?.flagged ?? []) {
      const { left, top } = this.corner(area, cell);
      const right = left + width;
      context.beginPath();
      context.moveTo(right - side, top);
      context.lineTo(right, top);
      context.lineTo(right, top + side);
      context.closePath();
      context.strokeStyle = theme.page;
      context.lineWidth = 2;
      context.stroke();
      context.fillStyle = theme.foreground;
      context.fill();
    }
  }

  private drawOutlines(
    context: CanvasRenderingContext2D,
    area: Area,
    width: number,
    height: number,
    cells: ReadonlySet<number>,
    outline: string,
  ): void {
    if (cells.size === 0) {
      return;
    }
    const outlines = new Path2D();
    for (const cell of cells) {
      const { left, top } = this.corner(area, cell);
      outlines.rect(left + 0.5, top + 0.5, width - 1, height - 1);
    }
    for (const [colour, lineWidth] of [
      [this.theme.page, 3],
      [outline, 1.5],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = Math.min(lineWidth, width / 2);
      context.stroke(outlines);
    }
  }
}
