import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { planEditorHarness } from '../support/planEditorHarness';
import { deepPlan, documentOf, everything, frontOf, idle, samplePlan } from '../support/planEditorSamples';
import type { PageElement, WebviewPage } from '../support/webviewBrowser';
import { repository } from '../support/webviewBundle';
import { webviewThemes } from '../support/webviewThemes';

const editor = planEditorHarness();
const screenshots = join(repository, 'test-results', 'webview');

beforeAll(() => {
  mkdirSync(screenshots, { recursive: true });
});

function pixels(view: WebviewPage): Promise<string> {
  return view.page.locator('.budget-bars canvas').evaluate((canvas: { toDataURL(): string }) => canvas.toDataURL());
}

describe.each(webviewThemes)('the $name theme', (theme) => {
  test('bars, selection and locks are painted, each with a look of its own', async () => {
    const view = await editor.open(await everything(), { theme });
    const plain = await pixels(view);
    await view.post(documentOf({ ...samplePlan, locked: [2] }));
    const locked = await pixels(view);
    await view.page
      .locator('.layer-bar')
      .nth(6)
      .click({ modifiers: ['Control'] });
    const selected = await pixels(view);
    expect(new Set([plain, locked, selected]).size).toBe(3);
    await view.page.screenshot({ path: join(screenshots, `plan-editor-${theme.name}.png`), fullPage: true });
  });
});

describe('changes around the page', () => {
  test('a change of theme repaints the bars', async () => {
    const view = await editor.open(await everything());
    const before = await pixels(view);
    await view.setTheme(webviewThemes[1]);
    expect((await pixels(view)) === before).toBe(false);
    await view.setTheme(webviewThemes[0]);
    expect((await pixels(view)) === before).toBe(true);
  });

  test.each([150, 300, 480, 1400])('nothing is cut off at a width of %i pixels', async (width) => {
    const view = await editor.open(await everything(), { width });
    const overflow = await view.page
      .locator('html')
      .evaluate((page: PageElement) => page.scrollWidth - page.clientWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    await view.page.screenshot({ path: join(screenshots, `plan-editor-width-${width}.png`), fullPage: true });
  });

  test('94 layers fit, each wide enough to be hit', async () => {
    const { plan, measurements, table } = deepPlan(94);
    const view = await editor.open([documentOf(plan), measurements, idle, await frontOf(table)]);
    const widths = await view.page
      .locator('.layer-bar')
      .evaluateAll((bars: { getBoundingClientRect(): { width: number } }[]) =>
        bars.map((bar) => bar.getBoundingClientRect().width),
      );
    expect(widths).toHaveLength(94);
    expect(Math.min(...widths)).toBeGreaterThan(6);
    await view.page.screenshot({ path: join(screenshots, 'plan-editor-deep.png') });
  });
});
