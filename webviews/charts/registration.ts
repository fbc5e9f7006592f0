import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
} from 'chart.js';

let registered = false;

/** Registers the few parts of chart.js that the charts are made of, so that the bundle holds no others. */
export function registerCharts(): void {
  if (!registered) {
    registered = true;
    Chart.register(BarController, BarElement, CategoryScale, LinearScale, LineController, LineElement, PointElement);
  }
}
