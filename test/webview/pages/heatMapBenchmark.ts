import '../../../webviews/charts/charts.css';
import '../../../webviews/ui-kit/dataGrid.css';
import { ChartFigure } from '../../../webviews/charts/chartFigure';
import { HeatMapChart } from '../../../webviews/charts/heatMapChart';
import type { HeatMapData } from '../../../webviews/charts/heatMapValues';
import type { GridPosition } from '../../../webviews/ui-kit/gridCursor';

/** Measures the heat map in the page, each time up to pixels that can be read back. */
declare global {
  interface Window {
    heatMapBenchmark: typeof heatMapBenchmark;
  }
}

function randomMap(rows: number, columns: number): HeatMapData {
  const names = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at));
  return {
    rows,
    columns,
    values: Float64Array.from({ length: rows * columns }, () => Math.random()),
    rowHeaders: names(rows),
    columnHeaders: names(columns),
    rowTitle: 'Layer',
    columnTitle: 'Expert',
    chosen: Array.from({ length: rows }, (_, row) => row % columns),
  };
}

const reader = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });

/** Milliseconds of an action and of the layout and raster work that it leaves behind. */
function measure(canvas: () => HTMLCanvasElement | null, action: () => void): number {
  const start = performance.now();
  action();
  document.body.getBoundingClientRect();
  const surface = canvas();
  if (surface !== null) {
    reader?.drawImage(surface, 0, 0);
    reader?.getImageData(0, 0, 1, 1);
  }
  return performance.now() - start;
}

/** One round: times of one first paint, of updates and of hovers. */
const heatMapBenchmark = (rows: number, columns: number): Record<string, number[]> => {
  const times = { firstPaint: [] as number[], update: [] as number[], hover: [] as number[] };
  const container = document.createElement('div');
  document.getElementById('root')?.replaceChildren(container);
  let map = randomMap(rows, columns);
  let chart: HeatMapChart | undefined;
  let figure: ChartFigure | undefined;
  const canvas = (): HTMLCanvasElement | null => container.querySelector('canvas');
  const show = (): void => {
    chart?.update(map);
    figure?.update('Heat map', {
      label: 'Values',
      corner: 'Layer',
      rowHeaders: map.rowHeaders,
      columnHeaders: map.columnHeaders,
      cell: (row, column) => (map.values[row * columns + column] ?? 0).toFixed(3),
      isChosen: (row, column) => map.chosen?.[row] === column,
    });
  };
  times.firstPaint.push(
    measure(canvas, () => {
      figure = new ChartFigure({
        className: 'heat-map',
        mode: 'cells',
        hint: '',
        describe: ({ row, column }: GridPosition) => `Layer ${String(row)}, expert ${String(column)}`,
        createSurface: (surface) => {
          chart = new HeatMapChart(surface);
          return chart;
        },
      });
      container.append(figure.root);
      show();
    }),
  );
  for (let step = 0; step < 9; step += 1) {
    map = randomMap(rows, columns);
    times.update.push(measure(canvas, show));
  }
  const bounds = canvas()?.getBoundingClientRect() ?? new DOMRect();
  for (let step = 1; step <= 10; step += 1) {
    const at = { clientX: bounds.left + 40 + step * 20, clientY: bounds.top + step * 10, bubbles: true };
    times.hover.push(measure(canvas, () => canvas()?.dispatchEvent(new PointerEvent('pointermove', at))));
  }
  const tooltip = container.querySelector('.chart-tooltip')?.textContent ?? '';
  if (!tooltip.startsWith('Layer')) {
    throw new Error('The pointer did not reach the heat map: the hover times mean nothing.');
  }
  figure?.dispose();
  return times;
};

window.heatMapBenchmark = heatMapBenchmark;
