import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { dashboardHarness } from '../support/dashboardHarness';
import { bundleWebview } from '../support/webviewBundle';
import { snapshots } from '../support/webviewSnapshots';
import { english } from '../../webviews/strings';

const bundleLimit = 500_000;

describe('the bundle', () => {
  test('stays under 500 kB', async () => {
    const { script, style } = await bundleWebview('webviews/dashboard/main.ts');
    console.log(
      `dashboard: ${script.length} bytes, ${gzipSync(script).length} compressed, style ${style.length} bytes`,
    );
    expect(script.length).toBeLessThan(bundleLimit);
    expect(style.length).toBeGreaterThan(1000);
  });

  test('holds no toolkit element that the dashboard does not use', async () => {
    const { script } = await bundleWebview('webviews/dashboard/main.ts');
    // Base names under which the toolkit registers its elements.
    const registered = [...script.matchAll(/baseName:"([a-z-]+)"/g)].map(([, name]) => name);
    expect(registered.sort()).toEqual(['button', 'dropdown', 'option', 'progress-ring']);
  });
});

describe('another language', () => {
  const pseudo = Object.fromEntries(
    Object.entries(english).map(([name, text]) => [
      name,
      `[${text.replace(/\{\w+\}|[aeiou]/g, (match) => (match.length > 1 ? match : 'áéíóú'['aeiou'.indexOf(match)]!))}]`,
    ]),
  );
  const dashboard = dashboardHarness(pseudo);

  test('every word of the page comes from the table of texts', async () => {
    const { page } = await dashboard.open(snapshots.measured);
    for (const selector of ['h2', 'dt', 'caption', '.readout', '.legend-entry', '.note', 'thead th:first-child']) {
      for (const text of await page.locator(`${selector}:visible`).allInnerTexts()) {
        expect([selector, text.trim()]).toEqual([selector, expect.stringMatching(/^\[[^]*\]$/)]);
      }
    }
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
  });
});
