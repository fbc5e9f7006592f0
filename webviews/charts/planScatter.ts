import { Chart } from 'chart.js';
import type { ChartDataset, ChartOptions, Plugin, Point } from 'chart.js';
import type { GridPosition } from '../ui-kit/gridCursor';
import type { ChartSurface } from './chartFigure';
import { drawingArea } from './chartArea';
import { chartPicture } from './chartPicture';
import type { ChartPicture } from './chartPicture';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import type { Area } from './heatMapGeometry';
import { registerCharts } from './registration';
import type { ScatterData, ScatterKind, ScatterPoint } from './scatterData';

const shapes = {
  unchanged: 'circle',
  prune: 'triangle',
  merge: 'rect',
  quantize: 'rectRot',
  several: 'star',
} as const satisfies Record<ScatterKind, string>;

const kinds = Object.keys(shapes) as ScatterKind[];
/** How near to a point a click or the pointer has to be, in CSS pixels. */
const reach = 12;
const markSize = 14;
const radius = 5;

/** Points of two measures as shapes, their names beside them, and a line through those that no other beats. */
export class PlanScatter implements ChartSurface {
  private data: ScatterData = { points: [], xTitle: '', yTitle: '' };
  private theme: ChartTheme = readChartTheme();
  private readonly chart: Chart<'line', Point[]>;

  constructor(canvas: HTMLCanvasElement) {
    registerCharts();
    const names: Plugin<'line'> = {
      id: 'pointNames',
      afterDatasetsDraw: (chart) => {
        this.drawNames(chart as unknown as Chart<'line', Point[]>);
      },
    };
    this.chart = new Chart<'line', Point[]>(canvas, {
      type: 'line',
      data: { datasets: [] },
      options: this.chartOptions(),
      plugins: [names],
    });
  }

  update(data: ScatterData): void {
    this.data = data;
    this.chart.resize();
    this.apply();
  }

  hit(x: number, y: number): GridPosition | undefined {
    const distances = this.data.points.map((point) => {
      const pixel = this.pixel(this.chart, point);
      return Math.hypot(pixel.x - x, pixel.y - y);
    });
    const nearest = Math.min(...distances);
    return nearest < reach ? { row: distances.indexOf(nearest), column: 0 } : undefined;
  }

  place({ row }: GridPosition): Area | undefined {
    const point = this.data.points[row];
    if (point === undefined || drawingArea(this.chart).width === 0) {
      return undefined;
    }
    const { x, y } = this.pixel(this.chart, point);
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

  private pixel(chart: Chart<'line', Point[]>, { x, y }: ScatterPoint): { x: number; y: number } {
    return { x: chart.scales['x']?.getPixelForValue(x) ?? 0, y: chart.scales['y']?.getPixelForValue(y) ?? 0 };
  }

  private apply(): void {
    const { points } = this.data;
    const front: ChartDataset<'line', Point[]> = {
      data: points.filter(({ onFront }) => onFront).map(({ x, y }) => ({ x, y })),
      borderColor: this.theme.accent,
      borderWidth: 2,
      pointRadius: 0,
      // Segments make chart.js draw on the context directly, which a recording context needs.
      segment: {},
    };
    this.chart.data = { datasets: [...kinds.map((kind) => this.pointsOf(kind)), front] };
    this.chart.options = this.chartOptions();
    this.chart.update('none');
  }

  private pointsOf(kind: ScatterKind): ChartDataset<'line', Point[]> {
    const { theme } = this;
    const colours: Readonly<Record<ScatterKind, string>> = {
      unchanged: theme.background,
      prune: theme.second,
      merge: theme.third,
      quantize: theme.accent,
      several: theme.foreground,
    };
    return {
      data: this.data.points.filter((point) => point.kind === kind).map(({ x, y }) => ({ x, y })),
      showLine: false,
      pointStyle: shapes[kind],
      pointRadius: radius,
      pointBorderColor: theme.foreground,
      pointBorderWidth: kind === 'unchanged' || kind === 'several' ? 2 : 1,
      pointBackgroundColor: colours[kind],
    };
  }

  /** Names at the side of their points where there is room; one that would cover another is left to tooltip and table. */
  private drawNames(chart: Chart<'line', Point[]>): void {
    const { ctx } = chart;
    const { left, width } = drawingArea(chart);
    const { fontFamily, fontSize, foreground } = this.theme;
    const taken: Area[] = this.data.points.map((point) => {
      const { x, y } = this.pixel(chart, point);
      return { left: x - radius, top: y - radius, width: 2 * radius, height: 2 * radius };
    });
    ctx.save();
    ctx.font = `${String(fontSize)}px ${fontFamily}`;
    ctx.fillStyle = foreground;
    ctx.textBaseline = 'middle';
    for (const point of this.data.points) {
      const { x, y } = this.pixel(chart, point);
      const length = ctx.measureText(point.label).width;
      const gap = radius + 4;
      const starts = [x + gap, x - gap - length].filter((start) => start >= left && start + length <= left + width);
      const area = starts
        .map((start) => ({ left: start, top: y - fontSize / 2, width: length, height: fontSize }))
        .find((candidate) => !taken.some((other) => overlap(candidate, other)));
      if (area !== undefined) {
        taken.push(area);
        ctx.fillText(point.label, area.left, y);
      }
    }
    ctx.restore();
  }

  private chartOptions(): ChartOptions<'line'> {
    const { theme, data } = this;
    const horizontal = axisOptions(theme, data.xTitle, false);
    const vertical = axisOptions(theme, data.yTitle, true);
    return {
      animation: false,
      events: [],
      parsing: false,
      // Points at the ends of the axes stay whole.
      clip: false,
      responsive: true,
      maintainAspectRatio: false,
      layout: { padding: { top: 8, right: 10 } },
      scales: {
        x: { ...horizontal, type: 'linear', beginAtZero: true, ticks: { ...horizontal.ticks, maxTicksLimit: 7 } },
        y: { ...vertical, type: 'linear', ticks: { ...vertical.ticks, maxTicksLimit: 5 } },
      },
    };
  }
}

function overlap(one: Area, other: Area): boolean {
  return (
    one.left < other.left + other.width &&
    other.left < one.left + one.width &&
    one.top < other.top + other.height &&
    other.top < one.top + one.height
  );
}
