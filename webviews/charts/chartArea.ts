import type { ChartArea } from 'chart.js';
import type { Area } from './heatMapGeometry';

/** The part of a chart that this needs; chart.js has no area before its first layout, though its types say otherwise. */
interface MaybeLaidOut {
  readonly chartArea?: ChartArea;
}

const nowhere: Area = { left: 0, top: 0, width: 0, height: 0 };

/** Where a chart draws its data; of no size before the first layout. */
export function drawingArea({ chartArea }: MaybeLaidOut): Area {
  if (chartArea === undefined) {
    return nowhere;
  }
  const { left, top, width, height } = chartArea;
  return { left, top, width, height };
}
