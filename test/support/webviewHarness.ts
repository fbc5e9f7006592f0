import type { Browser } from 'playwright-core';
import { afterEach, expect } from 'vitest';
import { launchBrowser, WebviewPage } from './webviewBrowser';
import type { PageSettings } from './webviewBrowser';
import { bundleWebview } from './webviewBundle';
import { serveWebview } from './webviewServer';
import type { WebviewServer } from './webviewServer';
import { webviewThemes } from './webviewThemes';

export interface WebviewHarness {
  /** Loads the page with some messages of the extension. Checked for complaints after the test. */
  open(messages: readonly object[], settings?: Partial<PageSettings>): Promise<WebviewPage>;
}

/** What lives as long as the process: files of a project that is not isolated share one browser, its pages and the servers. */
const browser: { launched?: Promise<Browser> } = {};
const servers = new Map<string, Promise<WebviewServer>>();
const idlePages = new Map<string, WebviewPage[]>();

function serverOf(entry: string, translations: Readonly<Record<string, string>> | undefined): Promise<WebviewServer> {
  const key = `${entry} ${JSON.stringify(translations)}`;
  const server = servers.get(key) ?? bundleWebview(entry).then((bundle) => serveWebview(bundle, translations));
  servers.set(key, server);
  return server;
}

/**
 * Opens the page of a webview in the tests of a file. After each test every page must be free of policy violations, console errors
 * and uncaught errors.
 *
 * @param entry path below the repository root
 * @param translations texts of another language for the page, by the English ones
 */
export function webviewHarness(
  entry: string,
  defaults: Partial<PageSettings> = {},
  translations?: Readonly<Record<string, string>>,
): WebviewHarness {
  const used: { readonly view: WebviewPage; readonly idle: WebviewPage[] }[] = [];
  afterEach(async () => {
    for (const { view, idle } of used.splice(0)) {
      const complaints = await view.complaints();
      idle.push(view);
      expect(complaints).toEqual([]);
    }
  });
  return {
    open: async (messages, settings = {}) => {
      browser.launched ??= launchBrowser();
      const { url } = await serverOf(entry, translations);
      const options = { url, theme: webviewThemes[0], ...defaults, ...settings };
      const key = `${url} ${String(options.pinned)}`;
      const idle = idlePages.get(key) ?? [];
      idlePages.set(key, idle);
      const known = idle.pop();
      await known?.load(options);
      const view = known ?? (await WebviewPage.open(await browser.launched, options));
      used.push({ view, idle });
      for (const message of messages) {
        await view.post(message);
      }
      return view;
    },
  };
}
