import { BasicPlatform, Chart } from 'chart.js';
import type { ChartConfiguration, ChartType } from 'chart.js';
import { Context } from 'svgcanvas';
import { readChartTheme } from './chartTheme';
import { recordTexts } from './recordedText';

/** A chart as files: PNG as base64 without prefix, SVG as text. Both have the background of the theme. */
export interface ChartPicture {
  readonly png: string;
  readonly svg: string;
}

/** A chart as it is drawn now, at the resolution of the screen and as vectors. */
export function chartPicture<Type extends ChartType, Data, Label>(chart: Chart<Type, Data, Label>): ChartPicture {
  const background = readChartTheme().background;
  return { png: pngOf(chart.canvas, background), svg: svgOf(chart as unknown as Chart, background) };
}

function pngOf(canvas: HTMLCanvasElement, background: string): string {
  const copy = document.createElement('canvas');
  copy.width = canvas.width;
  copy.height = canvas.height;
  const context = copy.getContext('2d');
  if (context === null) {
    return '';
  }
  context.fillStyle = background;
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  return copy.toDataURL('image/png').replace(/^data:[^,]*,/, '');
}

/** Draws the same configuration once more, on a context that records vectors. */
function svgOf(chart: Chart, background: string): string {
  const { width, height, data } = chart;
  // A document that is never shown: the policy of the page forbids the style attributes of a picture.
  const context = new Context({ width, height, document: document.implementation.createHTMLDocument('') });
  const texts = recordTexts(context);
  const canvas = { width, height, getContext: () => context };
  Object.defineProperty(context, 'canvas', { value: canvas, configurable: true });
  const { type, options, plugins } = chart.config as ChartConfiguration;
  const copy = new Chart(canvas as unknown as HTMLCanvasElement, {
    type,
    data: { ...data, datasets: data.datasets.map((dataset) => ({ ...dataset })) },
    options: { ...options, responsive: false, animation: false, devicePixelRatio: 1 },
    plugins: plugins ?? [],
    platform: BasicPlatform,
  });
  const svg = context.getSerializedSvg(true);
  copy.destroy();
  // The chart clears its context before it draws, so what lies below and above it is added to the text.
  return svg
    .replace(/<svg[^>]*>/, (start) => `${start}<rect width="100%" height="100%" fill="${background}"/>`)
    .replaceAll('<image ', '<image style="image-rendering: pixelated" ')
    .replace(/<\/svg>$/, () => `${texts()}</svg>`);
}
