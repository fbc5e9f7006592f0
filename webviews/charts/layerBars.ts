import { Chart } from 'chart.js';
import type { ChartOptions } from 'chart.js';
import type { GridPosition } from '../ui-kit/gridCursor';
import type { ChartSurface } from './chartFigure';
import { drawingArea } from './chartArea';
import { chartPicture } from './chartPicture';
import type { ChartPicture } from './chartPicture';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import { cellArea, cellAt } from './heatMapGeometry';
import type { Area } from './heatMapGeometry';
import { registerCharts } from './registration';

export interface LayerBarsData {
  readonly labels: readonly string[];
  readonly values: readonly number[];
  /** Upper end of the axis, in the unit of the values. */
  readonly maximum: number;
  /** Value of the dashed line: what every layer would get if all were alike. */
  readonly average: number;
  readonly layerTitle: string;
}

/** One bar per layer with the average as a dashed line. Positions are rows: one row is one layer. */
export class LayerBars implements ChartSurface {
  private data: LayerBarsData = { labels: [], values: [], maximum: 1, average: 0, layerTitle: '' };
  private theme: ChartTheme = readChartTheme();
  private readonly chart: Chart<'bar', number[], string>;

  constructor(canvas: HTMLCanvasElement) {
    registerCharts();
    this.chart = new Chart<'bar', number[], string>(canvas, {
      type: 'bar',
      data: { labels: [], datasets: [] },
      options: this.chartOptions(),
      plugins: [
        {
          id: 'averageLine',
          afterDatasetsDraw: (chart) => {
            this.drawAverage(chart.ctx);
          },
        },
      ],
    });
  }

  update(data: LayerBarsData): void {
    this.data = data;
    this.chart.resize();
    this.apply();
  }

  hit(x: number, y: number): GridPosition | undefined {
    // Layers stand side by side, so the chart is a grid of one row; its columns are the positions.
    const cell = cellAt(drawingArea(this.chart), { rows: 1, columns: this.data.labels.length }, x, y);
    return cell === undefined ? undefined : { row: cell.column, column: 0 };
  }

  place(position: GridPosition): Area | undefined {
    const area = drawingArea(this.chart);
    return area.width === 0
      ? undefined
      : cellArea(area, { rows: 1, columns: this.data.labels.length }, { row: 0, column: position.row });
  }

  applyTheme(): void {
    this.theme = readChartTheme();
    this.apply();
  }

  picture(): ChartPicture {
    return chartPicture(this.chart);
  }

  dispose(): void {
    this.chart.destroy();
  }

  private apply(): void {
    const { data, theme } = this;
    this.chart.data = {
      labels: [...data.labels],
      datasets: [
        {
          data: [...data.values],
          backgroundColor: theme.accent,
          borderColor: theme.border ?? theme.accent,
          borderWidth: theme.border === undefined ? 0 : 1,
          categoryPercentage: 1,
          barPercentage: data.labels.length > 40 ? 1 : 0.8,
        },
      ],
    };
    this.chart.options = this.chartOptions();
    this.chart.update('none');
  }

  private chartOptions(): ChartOptions<'bar'> {
    const { theme, data } = this;
    const y = axisOptions(theme, '', true);
    return {
      animation: false,
      events: [],
      responsive: true,
      maintainAspectRatio: false,
      layout: { padding: { top: 4, right: 1 } },
      scales: {
        x: { ...axisOptions(theme, data.layerTitle, false), type: 'category' },
        y: { ...y, type: 'linear', min: 0, max: data.maximum, ticks: { ...y.ticks, precision: 0, maxTicksLimit: 5 } },
      },
    };
  }

  private drawAverage(context: CanvasRenderingContext2D): void {
    // The chart draws once inside its constructor, before there is anything to draw.
    if (this.data.labels.length === 0) {
      return;
    }
    const { left, width } = drawingArea(this.chart);
    const y = this.chart.scales['y']?.getPixelForValue(this.data.average);
    if (y === undefined) {
      return;
    }
    context.save();
    context.strokeStyle = this.theme.foreground;
    context.lineWidth = 1.5;
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(left + width, y);
    context.stroke();
    context.restore();
  }
}
