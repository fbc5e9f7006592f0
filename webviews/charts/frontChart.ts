import { Chart } from 'chart.js';
import type { ChartOptions, Point } from 'chart.js';
import type { GridPosition } from '../ui-kit/gridCursor';
import type { ChartSurface } from './chartFigure';
import { drawingArea } from './chartArea';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import type { FrontChartData, FrontMark } from './frontChartData';
import type { Area } from './heatMapGeometry';
import { registerCharts } from './registration';

const empty: FrontChartData = {
  points: [],
  chosen: -1,
  control: undefined,
  measured: [],
  costTitle: '',
  predictedTitle: '',
  measuredTitle: '',
};

/** How near to a point a click or the pointer has to be, in CSS pixels. */
const reach = 12;
const markSize = 12;

/** Predicted loss against cost as a line, measured points beside it. Positions are rows: one row is one point of the front. */
export class FrontChart implements ChartSurface {
  private data: FrontChartData = empty;
  private theme: ChartTheme = readChartTheme();
  private readonly chart: Chart<'line', Point[]>;

  constructor(canvas: HTMLCanvasElement) {
    registerCharts();
    this.chart = new Chart<'line', Point[]>(canvas, {
      type: 'line',
      data: { datasets: [] },
      options: this.chartOptions(),
    });
  }

  update(data: FrontChartData): void {
    this.data = data;
    this.chart.resize();
    this.apply();
  }

  hit(x: number, y: number): GridPosition | undefined {
    let nearest: GridPosition | undefined;
    let distance = reach;
    this.data.points.forEach((_, row) => {
      const mark = this.pixel(row);
      const away = Math.hypot(mark.x - x, mark.y - y);
      if (away < distance) {
        distance = away;
        nearest = { row, column: 0 };
      }
    });
    return nearest;
  }

  place(position: GridPosition): Area | undefined {
    if (position.row >= this.data.points.length || drawingArea(this.chart).width === 0) {
      return undefined;
    }
    const { x, y } = this.pixel(position.row);
    return { left: x - markSize / 2, top: y - markSize / 2, width: markSize, height: markSize };
  }

  applyTheme(): void {
    this.theme = readChartTheme();
    this.apply();
  }

  dispose(): void {
    this.chart.destroy();
  }

  /** Where a point is drawn; points without a prediction sit on the axis. */
  private pixel(row: number): { x: number; y: number } {
    const point = this.data.points[row];
    const { x, predicted } = this.chart.scales;
    const { left, top, height } = drawingArea(this.chart);
    const bottom = top + height;
    return {
      x: x?.getPixelForValue(point?.x ?? 0) ?? left,
      y: point?.y === null || point?.y === undefined ? bottom : (predicted?.getPixelForValue(point.y) ?? bottom),
    };
  }

  private apply(): void {
    const { data, theme } = this;
    const plotted = (marks: readonly FrontMark[]): Point[] =>
      marks.filter((mark): mark is { x: number; y: number } => mark.y !== null).map(({ x, y }) => ({ x, y }));
    const chosen = data.points[data.chosen];
    const marks = { showLine: false, borderWidth: 2, pointBorderWidth: 2 } as const;
    this.chart.data = {
      datasets: [
        {
          ...marks,
          data: plotted(chosen === undefined ? [] : [chosen]),
          yAxisID: 'predicted',
          pointStyle: 'circle',
          pointRadius: 5,
          pointBorderColor: theme.foreground,
          pointBackgroundColor: theme.background,
        },
        {
          ...marks,
          data: plotted(data.control === undefined ? [] : [data.control]),
          yAxisID: 'predicted',
          pointStyle: 'triangle',
          pointRadius: 5,
          pointBorderColor: theme.muted,
          pointBackgroundColor: theme.background,
        },
        {
          ...marks,
          data: [...data.measured],
          yAxisID: 'measured',
          pointStyle: 'rectRot',
          pointRadius: 5,
          pointBorderColor: theme.foreground,
          pointBorderWidth: 1,
          pointBackgroundColor: theme.second,
        },
        {
          data: plotted(data.points),
          yAxisID: 'predicted',
          borderColor: theme.accent,
          borderWidth: 2,
          pointRadius: data.points.length > 40 ? 0 : 2,
          pointBackgroundColor: theme.accent,
          pointBorderColor: theme.accent,
          pointBorderWidth: 0,
        },
      ],
    };
    this.chart.options = this.chartOptions();
    this.chart.update('none');
  }

  private chartOptions(): ChartOptions<'line'> {
    const { theme, data } = this;
    const cost = axisOptions(theme, data.costTitle, false);
    const predicted = axisOptions(theme, data.predictedTitle, true);
    const measured = axisOptions(theme, data.measuredTitle, false);
    const showPredicted = data.points.some((point) => point.y !== null);
    return {
      animation: false,
      events: [],
      parsing: false,
      // Points at the ends of the axes stay whole.
      clip: false,
      responsive: true,
      maintainAspectRatio: false,
      layout: { padding: { top: 6, right: 6 } },
      scales: {
        x: { ...cost, type: 'linear', bounds: 'data', ticks: { ...cost.ticks, includeBounds: false } },
        predicted: {
          ...predicted,
          type: 'linear',
          position: 'left',
          display: showPredicted,
          beginAtZero: true,
          ticks: { ...predicted.ticks, maxTicksLimit: 5 },
        },
        measured: {
          ...measured,
          type: 'linear',
          position: 'right',
          display: data.measured.length > 0,
          beginAtZero: true,
          ticks: { ...measured.ticks, maxTicksLimit: 5 },
        },
      },
    };
  }
}
