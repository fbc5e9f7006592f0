import { Chart } from 'chart.js';
import type { ChartDataset, ChartOptions, Point } from 'chart.js';
import type { GridPosition } from '../ui-kit/gridCursor';
import type { ChartSurface } from './chartFigure';
import { drawingArea } from './chartArea';
import { chartPicture } from './chartPicture';
import type { ChartPicture } from './chartPicture';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import type { DivergenceKind, FrontChartData, FrontMark } from './frontChartData';
import type { Area } from './heatMapGeometry';
import { registerCharts } from './registration';

const empty: FrontChartData = {
  points: [],
  plan: undefined,
  control: undefined,
  measured: [],
  divergences: [],
  divergenceAxis: 'predicted',
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
    const consider = (mark: { x: number; y: number }, row: number): void => {
      const away = Math.hypot(mark.x - x, mark.y - y);
      if (away < distance) {
        distance = away;
        nearest = { row, column: 0 };
      }
    };
    this.data.points.forEach((_, row) => {
      consider(this.pixel(row), row);
    });
    const { x: cost, [this.data.divergenceAxis]: scale } = this.chart.scales;
    for (const mark of this.data.divergences.filter(({ row }) => row >= 0)) {
      const pixel = { x: cost?.getPixelForValue(mark.x) ?? 0, y: scale?.getPixelForValue(mark.y) ?? 0 };
      consider(pixel, mark.row);
    }
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

  picture(): ChartPicture {
    return chartPicture(this.chart);
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
    // What the plan measures lies close to what it predicts: the ring leaves it visible.
    const measuredInside = data.divergenceAxis === 'predicted' && data.divergences.length > 0;
    const marks = { showLine: false, borderWidth: 2, pointBorderWidth: 2 } as const;
    this.chart.data = {
      datasets: [
        {
          ...marks,
          data: plotted(data.plan === undefined ? [] : [data.plan]),
          yAxisID: 'predicted',
          pointStyle: 'circle',
          pointRadius: measuredInside ? 8 : 5,
          pointBorderColor: theme.foreground,
          pointBackgroundColor: measuredInside ? 'transparent' : theme.background,
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
        this.divergences('taken'),
        this.divergences('candidate'),
        this.divergences('control'),
        {
          data: plotted(data.points),
          yAxisID: 'predicted',
          borderColor: theme.accent,
          borderWidth: 2,
          pointRadius: data.points.length > 40 ? 0 : 2,
          pointBackgroundColor: theme.accent,
          pointBorderColor: theme.accent,
          pointBorderWidth: 0,
          // Segments make chart.js draw on the context directly, which a recording context needs.
          segment: {},
        },
      ],
    };
    this.chart.options = this.chartOptions();
    this.chart.update('none');
  }

  /** Divergences of one kind: filled squares for what was taken, small circles for other candidates, crosses for controls. */
  private divergences(kind: DivergenceKind): ChartDataset<'line', Point[]> {
    const { data, theme } = this;
    const looks = {
      taken: { pointStyle: 'rect', pointRadius: 5, pointBackgroundColor: theme.third },
      candidate: { pointStyle: 'circle', pointRadius: 3, pointBackgroundColor: theme.third },
      control: { pointStyle: 'crossRot', pointRadius: 4, pointBorderColor: theme.muted, pointBorderWidth: 2 },
    } as const;
    return {
      showLine: false,
      pointBorderColor: theme.foreground,
      pointBorderWidth: 1,
      ...looks[kind],
      data: data.divergences.filter((mark) => mark.kind === kind).map(({ x, y }) => ({ x, y })),
      yAxisID: data.divergenceAxis,
    };
  }

  private chartOptions(): ChartOptions<'line'> {
    const { theme, data } = this;
    const cost = axisOptions(theme, data.costTitle, false);
    const predicted = axisOptions(theme, data.predictedTitle, true);
    const measured = axisOptions(theme, data.measuredTitle, false);
    const showPredicted = data.points.some((point) => point.y !== null);
    const divergencesRight = data.divergenceAxis === 'measured' && data.divergences.length > 0;
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
          display: data.measured.length > 0 || divergencesRight,
          beginAtZero: true,
          ticks: { ...measured.ticks, maxTicksLimit: 5 },
        },
      },
    };
  }
}
