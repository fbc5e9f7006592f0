import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import type { DashboardMessage, DashboardSnapshot } from '../../engine/protocol/dashboard';
import { bundleWebview } from './webviewBundle';
import { pictureFont } from './webviewServer';
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

/** How a page is loaded. */
export interface PageSettings {
  readonly theme: WebviewTheme;
  readonly width?: number;
  readonly height?: number;
  /** What getState answers, as if an earlier life of the webview had written it. */
  readonly state?: object;
  readonly reducedMotion?: boolean;
  /** Letters, language and time zone of every machine the same, for pictures. */
  readonly pinned?: boolean;
}

export interface PageOptions extends PageSettings {
  readonly url: string;
}

function pinnedTheme(theme: WebviewTheme): WebviewTheme {
  return { ...theme, variables: { ...theme.variables, 'font-family': `"${pictureFont}"` } };
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

/** Numbers the loads of pages: each has an address of its own, so that nothing of the one before is restored. */
let loads = 0;

/** A place away from everything, so that no page begins with a pointer over it. */
const nowhere = -20;

/** A webview page with a fake host behind it. Opening a page of the browser takes long, so one can be loaded again and again. */
export class WebviewPage {
  private constructor(
    readonly page: Page,
    private readonly consoleErrors: string[],
    private readonly url: string,
  ) {}

  static async open(browser: Browser, options: PageOptions): Promise<WebviewPage> {
    fakeHost ??= bundleWebview('test/webview/pages/fakeHost.ts').then(({ script }) => script);
    const place = options.pinned === true ? { locale: 'en-US', timezoneId: 'UTC' } : {};
    const page = await browser.newPage(place);
    const consoleErrors: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        consoleErrors.push(message.text());
      }
    });
    page.on('pageerror', (error) => consoleErrors.push(error.message));
    await page.addInitScript({ content: await fakeHost });
    const view = new WebviewPage(page, consoleErrors, options.url);
    await view.load(options);
    return view;
  }

  /** Loads the page from the start, as VS Code does when it shows a webview again. */
  async load({ theme, state, width = 300, height = 1200, reducedMotion = false, pinned }: PageSettings): Promise<void> {
    const { page } = this;
    const shown = pinned === true ? pinnedTheme(theme) : theme;
    loads += 1;
    const settings = encodeURIComponent(JSON.stringify({ theme: shown, state, reducedMotion }));
    await page.mouse.move(nowhere, nowhere);
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ reducedMotion: reducedMotion ? 'reduce' : 'no-preference' });
    await page.goto(`${this.url}?load=${loads}&settings=${settings}`);
    if (pinned === true) {
      // Canvases draw with what is there: the font has to be.
      const found = await page.evaluate<number>(
        `document.fonts.load('13px "${pictureFont}"').then((faces) => faces.length)`,
      );
      if (found === 0) {
        throw new Error(`The page has no font "${pictureFont}".`);
      }
    }
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
    return [...violations, ...this.consoleErrors.splice(0)];
  }

  close(): Promise<void> {
    return this.page.close();
  }
}
