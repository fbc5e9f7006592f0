import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { PlanEditorMessage, PlanEditorUpdate } from '../../engine/protocol/planEditor';
import { launchBrowser, WebviewPage } from './webviewBrowser';
import type { PageOptions } from './webviewBrowser';
import { bundleWebview } from './webviewBundle';
import { serveWebview } from './webviewServer';
import type { WebviewServer } from './webviewServer';
import { webviewThemes } from './webviewThemes';

export const planEditorEntry = 'webviews/plan-editor/main.ts';

export interface PlanEditorHarness {
  /** Opens the plan editor with some messages of the extension. Closed, and checked for complaints, after the test. */
  open(updates?: readonly PlanEditorUpdate[], options?: Partial<PageOptions>): Promise<WebviewPage>;
}

/** Sets up one browser and one server for the tests of a file; after each test every page must be free of complaints. */
export function planEditorHarness(translations?: Readonly<Record<string, string>>): PlanEditorHarness {
  let browser: Browser | undefined;
  let server: WebviewServer | undefined;
  const pages: WebviewPage[] = [];
  beforeAll(async () => {
    server = await serveWebview(await bundleWebview(planEditorEntry), translations);
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
    open: async (updates = [], options = {}) => {
      if (browser === undefined || server === undefined) {
        throw new Error('open() belongs inside a test.');
      }
      const theme = webviewThemes[0];
      const page = await WebviewPage.open(browser, { url: server.url, theme, width: 900, height: 1100, ...options });
      pages.push(page);
      for (const update of updates) {
        await page.post(update);
      }
      return page;
    },
  };
}

/** What the page asked to change, in order. */
export async function editsOf(view: WebviewPage): Promise<PlanEditorMessage[]> {
  const messages = (await view.messages()) as unknown as PlanEditorMessage[];
  return messages.filter((message) => 'edit' in message);
}
