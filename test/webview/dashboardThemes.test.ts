import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { dashboardHarness } from '../support/dashboardHarness';
import { repository } from '../support/webviewBundle';
import { deepSnapshot, snapshots } from '../support/webviewSnapshots';
import { webviewThemes } from '../support/webviewThemes';
import type { PageElement, WebviewPage } from '../support/webviewBrowser';

const dashboard = dashboardHarness();
const screenshots = join(repository, 'test-results', 'webview');
const charts = ['.heat-map canvas', '.layer-bars canvas', '.front canvas'] as const;

beforeAll(() => {
  mkdirSync(screenshots, { recursive: true });
});

/** Pixels of the charts' canvases as one text, to see whether they changed. */
function pixels(view: WebviewPage, selector: string): Promise<string> {
  return view.page.locator(selector).evaluate((canvas: { toDataURL(): string }) => canvas.toDataURL());
}

test('a measured search adds its marks to the front', async () => {
  const view = await dashboard.open(snapshots.measured, { width: 340, height: 2200 });
  const before = await pixels(view, '.front canvas');
  await view.post(snapshots.searched);
  expect((await pixels(view, '.front canvas')) === before).toBe(false);
});

describe('changes around the page', () => {
  test('a change of theme repaints every chart', async () => {
    const view = await dashboard.open(snapshots.measured);
    const before = await Promise.all(charts.map((chart) => pixels(view, chart)));
    await view.setTheme(webviewThemes[1]);
    const after = await Promise.all(charts.map((chart) => pixels(view, chart)));
    after.forEach((image, at) => expect([charts[at], image === before[at]]).toEqual([charts[at], false]));
    await view.setTheme(webviewThemes[0]);
    expect(await Promise.all(charts.map((chart) => pixels(view, chart)))).toEqual(before);
  });

  test.each([150, 220, 300, 480, 1100])('nothing is cut off at a width of %i pixels', async (width) => {
    const view = await dashboard.open(snapshots.measured, { width });
    const root = view.page.locator('html');
    const overflow = await root.evaluate((page: PageElement) => page.scrollWidth - page.clientWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    await view.page.screenshot({ path: join(screenshots, `dashboard-width-${width}.png`), fullPage: true });
  });

  test('58 layers fit: each at least four pixels high, named by their own index', async () => {
    const view = await dashboard.open(deepSnapshot, { height: 1800 });
    const grid = view.page.getByRole('grid', { name: 'Output change by layer and number of active experts' });
    await grid.focus();
    await view.page.keyboard.press('Control+End');
    const cursor = await view.page.locator('.heat-map .chart-cursor').boundingBox();
    expect(cursor?.height).toBeGreaterThanOrEqual(3.9);
    expect(await view.page.locator('.section-sensitivity .readout').innerText()).toContain('Layer 60,');
    await view.page.screenshot({ path: join(screenshots, 'dashboard-deep.png') });
  });

  test('reduced motion stops the progress bar from gliding', async () => {
    const transition = async (reducedMotion: boolean): Promise<string> => {
      const view = await dashboard.open(snapshots.running, { reducedMotion });
      return view.page
        .locator('.progress-fill')
        .evaluate('getComputedStyle(document.querySelector(".progress-fill")).transitionDuration');
    };
    expect(await transition(true)).toBe('0s');
    expect(await transition(false)).toBe('0.2s');
  });
});
