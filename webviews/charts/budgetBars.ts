import { Chart } from 'chart.js';
import type { ChartOptions } from 'chart.js';
import { onThemeChange } from '../ui-kit/theme';
import { drawingArea } from './chartArea';
import { axisOptions, readChartTheme } from './chartTheme';
import type { ChartTheme } from './chartTheme';
import { cividisTable } from './colourScale';
import { HeatMapBitmap } from './heatMapBitmap';
import type { Area } from './heatMapGeometry';
import { valueRange } from './heatMapValues';
import type { HeatMapValues } from './heatMapValues';
import { registerCharts } from './registration';

/** One bar. */
export interface BudgetBar {
  readonly value: number;
  readonly locked: boolean;
  readonly selected: boolean;
}

export interface BudgetBarsData {
  readonly labels: readonly string[];
  readonly bars: readonly BudgetBar[];
  /** Upper end of the axis. */
  readonly maximum: number;
  readonly average: number;
  /** Values behind the bars, the row of the largest number first; the same object as long as they are the same. */
  readonly background: HeatMapValues | undefined;
  readonly layerTitle: string;
  readonly valueTitle: string;
}

const empty: BudgetBarsData = {
  labels: [],
  bars: [],
  maximum: 1,
  average: 0,
  background: undefined,
  layerTitle: '',
  valueTitle: '',
};

/** Share of its column that a bar fills, so that the values behind it stay in sight. */
const barShare = 0.62;
/** Columns narrower than this, in CSS pixels, carry no number. */
const numberRoom = 15;

/**
 * One bar per layer over a heat map of what each number of active experts would lose. Axes are chart.js's; bars and heat map are drawn by
 * hand, so that a dragged bar costs one drawing of the canvas and no layout.
 */
export class BudgetBars {
  private data: BudgetBarsData = empty;
  private theme: ChartTheme = readChartTheme();
  private readonly table = cividisTable();
  private readonly bitmap = new HeatMapBitmap();
  private readonly chart: Chart<'bar', number[], string>;
  private readonly stopTheme: () => void;

  /** @param onLayout called when the place of the bars changed */
  constructor(canvas: HTMLCanvasElement, onLayout: () => void) {
    registerCharts();
    this.chart = new Chart<'bar', number[], string>(canvas, {
      type: 'bar',
      data: { labels: [], datasets: [] },
      options: this.chartOptions(),
      plugins: [
        { id: 'budgetBars', afterDraw: (chart) => this.draw(chart.ctx) },
        { id: 'budgetLayout', afterLayout: () => onLayout() },
      ],
    });
    this.stopTheme = onThemeChange(() => {
      this.theme = readChartTheme();
      this.chart.options = this.chartOptions();
      this.chart.update('none');
    });
  }

  /** Where the bars are, in CSS pixels of the canvas. */
  get area(): Area {
    return drawingArea(this.chart);
  }

  update(data: BudgetBarsData): void {
    const { labels, maximum, background, layerTitle } = this.data;
    const sameAxes =
      maximum === data.maximum && layerTitle === data.layerTitle && labels.join('\n') === data.labels.join('\n');
    if (data.background !== background) {
      const range = data.background === undefined ? undefined : valueRange(data.background);
      this.bitmap.paint(data.background ?? { rows: 1, columns: 1, values: new Float64Array(1) }, range, this.table);
    }
    this.data = data;
    if (sameAxes) {
      this.chart.draw();
      return;
    }
    this.chart.options = this.chartOptions();
    this.chart.resize();
    this.chart.update('none');
  }

  dispose(): void {
    this.stopTheme();
    this.chart.destroy();
  }

  private chartOptions(): ChartOptions<'bar'> {
    const { theme, data } = this;
    const y = axisOptions(theme, data.valueTitle, false);
    return {
      animation: false,
      events: [],
      responsive: true,
      maintainAspectRatio: false,
      layout: { padding: { top: 2, right: 1 } },
      scales: {
        x: { ...axisOptions(theme, data.layerTitle, false), type: 'category', labels: [...data.labels], offset: true },
        y: { ...y, type: 'linear', min: 0, max: data.maximum, ticks: { ...y.ticks, precision: 0, maxTicksLimit: 9 } },
      },
    };
  }

  private draw(context: CanvasRenderingContext2D): void {
    const { data, area } = this;
    // The chart draws once inside its constructor, before there is anything to draw.
    if (data.bars.length === 0 || area.width === 0) {
      return;
    }
    context.save();
    if (data.background !== undefined) {
      this.bitmap.draw(context, area.left, area.top, area.width, area.height);
    }
    const column = area.width / data.bars.length;
    data.bars.forEach((bar, position) => {
      this.drawBar(context, bar, area.left + position * column, column);
    });
    this.drawAverage(context);
    context.restore();
  }

  private drawBar(context: CanvasRenderingContext2D, bar: BudgetBar, left: number, column: number): void {
    const { theme, area, data } = this;
    const bottom = area.top + area.height;
    const height = (bar.value / data.maximum) * area.height;
    const width = Math.max(2, column * barShare);
    const start = left + (column - width) / 2;
    const edge = column < 6 ? 0.5 : 1.5;
    // An edge in the colour of the page sets the bar off from every colour behind it.
    context.fillStyle = theme.page;
    context.fillRect(start - edge, bottom - height - edge, width + 2 * edge, height + edge);
    context.fillStyle = bar.selected ? theme.second : theme.accent;
    context.fillRect(start, bottom - height, width, height);
    if (theme.border !== undefined) {
      context.strokeStyle = theme.border;
      context.lineWidth = 1;
      context.strokeRect(start + 0.5, bottom - height + 0.5, width - 1, height);
    }
    if (bar.locked) {
      this.drawLock(context, start, bottom - height, width, height);
    }
    if (column >= numberRoom && !(bar.locked && height < 2 * theme.fontSize)) {
      this.drawNumber(context, bar.value, start + width / 2, bottom - height, height);
    }
  }

  /** Hatching: a locked bar differs in pattern, not in colour alone. */
  private drawLock(context: CanvasRenderingContext2D, left: number, top: number, width: number, height: number): void {
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.strokeStyle = this.theme.page;
    context.lineWidth = 1.5;
    context.beginPath();
    for (let at = -height; at < width; at += 6) {
      context.moveTo(left + at, top + height);
      context.lineTo(left + at + height, top);
    }
    context.stroke();
    context.restore();
  }

  private drawNumber(
    context: CanvasRenderingContext2D,
    value: number,
    middle: number,
    top: number,
    height: number,
  ): void {
    const { theme } = this;
    context.font = `600 ${String(theme.fontSize)}px ${theme.fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'top';
    const text = String(value);
    const width = context.measureText(text).width + 4;
    const y = height >= theme.fontSize + 4 ? top + 2 : top - theme.fontSize - 4;
    context.fillStyle = theme.page;
    context.fillRect(middle - width / 2, y, width, theme.fontSize + 2);
    context.fillStyle = theme.foreground;
    context.fillText(text, middle, y + 1);
  }

  private drawAverage(context: CanvasRenderingContext2D): void {
    const { left, top, width, height } = this.area;
    const y = top + height - (this.data.average / this.data.maximum) * height;
    for (const [colour, lineWidth] of [
      [this.theme.page, 3.5],
      [this.theme.foreground, 1.5],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.setLineDash(lineWidth > 2 ? [] : [4, 3]);
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(left + width, y);
      context.stroke();
    }
    context.setLineDash([]);
  }
}
