import { launchBrowser, WebviewPage } from './webviewBrowser';
import { bundleWebview } from './webviewBundle';
import { serveWebview } from './webviewServer';
import { webviewThemes } from './webviewThemes';

/**
 * Milliseconds of the work until pixels are there, in the software renderer of headless Chromium. Each is the median of the
 * quietest round: other programs on the machine can only add time.
 */
export interface HeatMapTimes {
  readonly firstPaint: number;
  readonly update: number;
  readonly hover: number;
}

/** What the heat map must keep at 58 × 256 cells. */
export const heatMapLimits: HeatMapTimes = { firstPaint: 50, update: 5, hover: 2 };

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;
}

/** Measures a heat map of `rows` × `columns` cells over so many rounds. */
export async function measureHeatMap(rows: number, columns: number, rounds: number): Promise<HeatMapTimes> {
  const server = await serveWebview(await bundleWebview('test/webview/pages/heatMapBenchmark.ts'));
  const browser = await launchBrowser();
  try {
    const { page } = await WebviewPage.open(browser, { url: server.url, theme: webviewThemes[0], width: 600 });
    const best = { firstPaint: Infinity, update: Infinity, hover: Infinity };
    for (let round = 0; round < rounds; round += 1) {
      const times: Record<keyof HeatMapTimes, number[]> = await page.evaluate(
        `heatMapBenchmark(${String(rows)}, ${String(columns)})`,
      );
      for (const name of ['firstPaint', 'update', 'hover'] as const) {
        best[name] = Math.min(best[name], median(times[name]));
      }
    }
    return best;
  } finally {
    await browser.close();
    await server.close();
  }
}
