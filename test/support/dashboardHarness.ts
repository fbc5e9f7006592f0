import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import { launchBrowser, WebviewPage } from './webviewBrowser';
import type { PageOptions } from './webviewBrowser';
import { bundleWebview } from './webviewBundle';
import { serveWebview } from './webviewServer';
import type { WebviewServer } from './webviewServer';
import { webviewThemes } from './webviewThemes';

export interface DashboardHarness {
  /** Opens the dashboard, and shows a snapshot when one is given. Closed, and checked for complaints, after the test. */
  open(snapshot?: DashboardSnapshot, options?: Partial<PageOptions>): Promise<WebviewPage>;
}

/**
 * Sets up one browser and one server for the tests of a file. After each test every page must be free of policy violations,
 * console errors and uncaught errors.
 */
export function dashboardHarness(translations?: Readonly<Record<string, string>>): DashboardHarness {
  let browser: Browser | undefined;
  let server: WebviewServer | undefined;
  const pages: WebviewPage[] = [];
  beforeAll(async () => {
    server = await serveWebview(await bundleWebview('webviews/dashboard/main.ts'), translations);
    browser = await launchBrowser();
  });
  afterEach(async () => {
    for (const page of pages.splice(0)) {
      const complaints = await page.complaints();
      await page.close();
      expect(complaints).toEqual([]);
    }
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  return {
    open: async (snapshot, options = {}) => {
      if (browser === undefined || server === undefined) {
        throw new Error('open() belongs inside a test.');
      }
      const page = await WebviewPage.open(browser, { url: server.url, theme: webviewThemes[0], ...options });
      pages.push(page);
      if (snapshot !== undefined) {
        await page.post(snapshot);
      }
      return page;
    },
  };
}
