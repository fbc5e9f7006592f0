import { Chart } from 'chart.js';
import type { ChartOptions, Plugin } from 'chart.js';
import type { ChartSurface } from './chartFigure';
import { drawingArea } from './chartArea';
import { chartPicture } from './chartPicture';
import type { ChartPicture } from './chartPicture';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import { cividisTable } from './colourScale';
import { HeatMapBitmap } from './heatMapBitmap';
import { cellArea, cellAt, cellsHeight } from './heatMapGeometry';
import type { Area } from './heatMapGeometry';
import { valueRange } from './heatMapValues';
import type { HeatMapData, ValueRange } from './heatMapValues';
import { registerCharts } from './registration';

/** Room for the labels and the title of the horizontal axis, in multiples of the font size. */
const axisRoom = 4;

/**
 * A heat map whose axes are chart.js's and whose cells are one bitmap: drawing costs the same for ten cells and for ten
 * thousand. It handles no events; hit tests are arithmetic.
 */
export class HeatMapChart implements ChartSurface {
  range: ValueRange | undefined;
  private data: HeatMapData | undefined;
  private theme: ChartTheme = readChartTheme();
  private readonly table = cividisTable();
  private readonly bitmap = new HeatMapBitmap();
  private readonly chart: Chart<'bar', number[], string>;

  constructor(private readonly canvas: HTMLCanvasElement) {
    registerCharts();
    const plugin: Plugin<'bar'> = {
      id: 'heatMapCells',
      beforeDatasetsDraw: (chart) => {
        this.drawCells(chart.ctx);
      },
    };
    this.chart = new Chart<'bar', number[], string>(canvas, {
      type: 'bar',
      data: { labels: [], datasets: [] },
      options: this.chartOptions(),
      plugins: [plugin],
    });
  }

  update(data: HeatMapData): void {
    const sameAxes =
      this.data !== undefined &&
      this.data.rowHeaders.join() === data.rowHeaders.join() &&
      this.data.columnHeaders.join() === data.columnHeaders.join();
    this.data = data;
    this.range = valueRange(data);
    this.bitmap.paint(data, this.range, this.table);
    if (sameAxes) {
      this.chart.draw();
      return;
    }
    const height = cellsHeight(data.rows) + this.theme.fontSize * axisRoom;
    if (this.canvas.parentElement !== null) {
      this.canvas.parentElement.style.height = `${String(Math.round(height))}px`;
    }
    this.chart.options = this.chartOptions();
    // The chart learns of its new height from an observer only after a frame with the old one.
    this.chart.resize();
    this.chart.update('none');
  }

  hit(x: number, y: number): { row: number; column: number } | undefined {
    return this.data === undefined ? undefined : cellAt(this.area(), this.data, x, y);
  }

  place(position: { row: number; column: number }): Area | undefined {
    return this.data === undefined || this.area().width === 0 ? undefined : cellArea(this.area(), this.data, position);
  }

  applyTheme(): void {
    this.theme = readChartTheme();
    this.chart.options = this.chartOptions();
    this.chart.update('none');
  }

  picture(): ChartPicture {
    return chartPicture(this.chart);
  }

  dispose(): void {
    this.chart.destroy();
  }

  private area(): Area {
    return drawingArea(this.chart);
  }

  private chartOptions(): ChartOptions<'bar'> {
    const { theme, data } = this;
    return {
      animation: false,
      events: [],
      responsive: true,
      maintainAspectRatio: false,
      layout: { padding: { top: 1, right: 1 } },
      scales: {
        x: {
          ...axisOptions(theme, data?.columnTitle ?? '', false),
          type: 'category',
          labels: [...(data?.columnHeaders ?? [])],
          offset: true,
        },
        y: {
          ...axisOptions(theme, data?.rowTitle ?? '', false),
          type: 'category',
          labels: [...(data?.rowHeaders ?? [])],
          offset: true,
        },
      },
    };
  }

  private drawCells(context: CanvasRenderingContext2D): void {
    // The chart draws once inside its constructor, before there is anything to draw.
    if (this.data === undefined) {
      return;
    }
    const { left, top, width, height } = this.area();
    this.bitmap.draw(context, left, top, width, height);
    if (this.theme.border !== undefined) {
      context.strokeStyle = this.theme.border;
      context.lineWidth = 1;
      context.strokeRect(left, top, width, height);
    }
    this.drawChosen(context);
  }

  /** The chosen columns as one stepped line, with an edge in the opposite tone so that it shows on every colour. */
  private drawChosen(context: CanvasRenderingContext2D): void {
    const { data } = this;
    if (data?.chosen === undefined) {
      return;
    }
    context.save();
    context.lineJoin = 'round';
    context.beginPath();
    let open = false;
    data.chosen.forEach((column, row) => {
      if (column < 0) {
        open = false;
        return;
      }
      const cell = cellArea(this.area(), data, { row, column });
      const middle = cell.left + cell.width / 2;
      if (open) {
        context.lineTo(middle, cell.top);
      } else {
        context.moveTo(middle, cell.top);
      }
      context.lineTo(middle, cell.top + cell.height);
      open = true;
    });
    context.strokeStyle = 'black';
    context.lineWidth = 4;
    context.stroke();
    context.strokeStyle = 'white';
    context.lineWidth = 2;
    context.stroke();
    context.restore();
  }
}
