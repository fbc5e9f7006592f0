import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import type { DashboardMessage, DashboardSnapshot } from '../../engine/protocol/dashboard';
import { bundleWebview } from './webviewBundle';
import type { WebviewTheme } from './webviewThemes';

/** Where Chromium is: named by the environment, else where Debian puts it. Undefined when there is none. */
export function chromiumPath(): string | undefined {
  const { CHROMIUM_EXECUTABLE_PATH, CHROMIUM_PATH } = process.env;
  const path = CHROMIUM_EXECUTABLE_PATH ?? CHROMIUM_PATH ?? '/usr/bin/chromium';
  return existsSync(path) ? path : undefined;
}

export async function launchBrowser(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) {
    throw new Error('Webview tests need Chromium: install it, or set CHROMIUM_PATH to its executable.');
  }
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  });
}

export interface PageOptions {
  readonly url: string;
  readonly theme: WebviewTheme;
  readonly width?: number;
  readonly height?: number;
  /** What getState answers, as if an earlier life of the webview had written it. */
  readonly state?: object;
  readonly reducedMotion?: boolean;
}

/** The little of the DOM that functions run in the page need here: the program of the tests has no DOM types. */
export interface PageElement {
  textContent: string;
  readonly value: string;
  readonly scrollWidth: number;
  readonly clientWidth: number;
  readonly dataset: Readonly<Record<string, string>>;
  readonly ownerDocument: {
    readonly activeElement: PageElement | null;
    getElementById(id: string | null): PageElement | null;
  };
  getAttribute(name: string): string | null;
  contains(other: PageElement | null): boolean;
}

/** How much of a canvas is painted, in how many colours. */
export interface CanvasStatistics {
  readonly painted: number;
  readonly colours: number;
}

let fakeHost: Promise<string> | undefined;

/** A webview page with a fake host behind it. */
export class WebviewPage {
  private constructor(
    readonly page: Page,
    private readonly consoleErrors: string[],
  ) {}

  static async open(browser: Browser, options: PageOptions): Promise<WebviewPage> {
    fakeHost ??= bundleWebview('test/webview/pages/fakeHost.ts').then(({ script }) => script);
    const { theme, width = 300, height = 1200 } = options;
    const page = await browser.newPage({
      viewport: { width, height },
      reducedMotion: options.reducedMotion === true ? 'reduce' : 'no-preference',
    });
    const consoleErrors: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        consoleErrors.push(message.text());
      }
    });
    page.on('pageerror', (error) => consoleErrors.push(error.message));
    const settings = JSON.stringify({ theme, state: options.state, reducedMotion: options.reducedMotion === true });
    await page.addInitScript({ content: `window.fakeHostSettings = ${settings};\n${await fakeHost}` });
    await page.goto(options.url);
    return new WebviewPage(page, consoleErrors);
  }

  /** Posts a message as the extension host would, and waits until the page has drawn it. */
  async post(message: DashboardSnapshot | object): Promise<void> {
    await this.page.evaluate(`fakeHost.post(${JSON.stringify(message)})`);
  }

  async setTheme(theme: WebviewTheme): Promise<void> {
    await this.page.evaluate(`fakeHost.setTheme(${JSON.stringify(theme)})`);
  }

  messages(): Promise<DashboardMessage[]> {
    return this.page.evaluate('fakeHost.messages');
  }

  state(): Promise<unknown> {
    return this.page.evaluate('fakeHost.state()');
  }

  canvas(selector: string): Promise<CanvasStatistics> {
    return this.page.evaluate(`fakeHost.canvasStatistics(${JSON.stringify(selector)})`);
  }

  /** Everything that should not have happened: policy violations, console errors and warnings, uncaught errors. */
  async complaints(): Promise<string[]> {
    const violations: string[] = await this.page.evaluate('fakeHost.violations');
    return [...violations, ...this.consoleErrors];
  }

  close(): Promise<void> {
    return this.page.close();
  }
}
