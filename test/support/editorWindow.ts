import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, FrameLocator, Locator, Page } from 'playwright-core';
import { launchBrowser } from '../../scripts/support/browser.mjs';
import { startEditorServer } from '../../scripts/support/editorServer.mjs';
import { sample, testResults } from '../../scripts/support/paths.mjs';
import { eventually } from './processes';

/** Waits are generous: a workbench on a busy machine takes several times as long as on an idle one. */
export const patience = 45_000;

const extensionId = 'moe-tuner.moe-tuner';

export interface EditorWindowOptions {
  readonly vsix: string;
  /** Names the log file and the screenshots. */
  readonly name: string;
  readonly settings?: Record<string, unknown>;
  /** Opens the workspace in Restricted Mode. */
  readonly restricted?: boolean;
  /** Changes the workspace before the window opens. */
  readonly prepare?: (workspace: string) => void;
}

/** A person's view of VS Code: one browser window on a server with the packaged extension and a copy of the sample. */
export class EditorWindow {
  private constructor(
    readonly page: Page,
    readonly workspace: string,
    /** Process group of the server, its extension hosts and engines. */
    readonly processGroup: number,
    private readonly name: string,
    private readonly close: () => Promise<void>,
  ) {}

  static async open(options: EditorWindowOptions): Promise<EditorWindow> {
    const home = mkdtempSync(join(tmpdir(), 'moe-tuner-e2e-'));
    const workspace = join(home, 'workspace');
    cpSync(sample, join(workspace, 'sample'), { recursive: true });
    options.prepare?.(workspace);
    mkdirSync(testResults, { recursive: true });
    let browser: Browser | undefined;
    const server = await startEditorServer({
      extensions: [options.vsix],
      settings: { ...options.settings },
      restricted: options.restricted ?? false,
      logFile: join(testResults, `e2e-${options.name}.log`),
    });
    const close = async (): Promise<void> => {
      await browser?.close();
      await server.stop();
      rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    };
    try {
      browser = await launchBrowser();
      const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
      page.setDefaultTimeout(patience);
      await page.goto(server.address(workspace));
      await page.locator('.explorer-folders-view .monaco-list-row').first().waitFor();
      return new EditorWindow(page, workspace, server.processId, options.name, close);
    } catch (error) {
      await close();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    await this.screenshot('end');
    await this.close();
  }

  async screenshot(label: string): Promise<void> {
    await this.page.screenshot({ path: join(testResults, `e2e-${this.name}-${label}.png`) });
  }

  /** Opens a file by its path in the workspace, through quick open. A list knows the files of when it was opened: new ones need another. */
  async openFile(path: string): Promise<void> {
    const file = path.split('/').at(-1)!;
    // Before the search has ended the list still shows files of earlier.
    const found = this.page.locator(`.quick-input-list .monaco-list-row.focused[aria-label^="${file}"]`);
    await eventually(`${path} in quick open`, () => this.opensList('Control+P', (input) => input.fill(path), found));
    await this.page.keyboard.press('Enter');
    await this.page.locator(`.tab.active[data-resource-name="${file}"]`).waitFor();
  }

  /** Opens a list, writes what is looked for, and waits a while for its entry; closes the list where it does not come. */
  private async opensList(
    key: string,
    write: (input: Locator) => Promise<void>,
    entry: Locator,
  ): Promise<true | undefined> {
    const input = await this.quickInput(key);
    await write(input);
    const isListed = await entry.waitFor({ timeout: 8000 }).then(
      () => true as const,
      () => undefined,
    );
    if (isListed === undefined) {
      await this.page.keyboard.press('Escape');
    }
    return isListed;
  }

  /** Opens the box that a key opens. A key can be lost while a webview takes the focus: then it is pressed again. */
  private async quickInput(key: string): Promise<Locator> {
    const input = this.page.locator('.quick-input-widget input.input');
    for (let presses = 0; presses < 5; presses++) {
      await this.page.keyboard.press(key);
      const opened = await input.waitFor({ timeout: 3000 }).then(
        () => true,
        () => false,
      );
      if (opened) {
        return input;
      }
    }
    await input.waitFor();
    return input;
  }

  /** Runs a command through the palette with the keyboard alone. */
  async command(title: string): Promise<void> {
    const entry = this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first();
    // Like quick open, the palette knows the commands of when it was opened.
    await eventually(`${title} in the palette`, () =>
      this.opensList('F1', (input) => input.pressSequentially(title), entry),
    );
    // The palette ranks by its own taste: the command may not be the first.
    const focused = this.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: title });
    for (let presses = 0; presses < 10 && (await focused.count()) === 0; presses++) {
      await this.page.keyboard.press('ArrowDown');
    }
    await focused.waitFor();
    await this.page.keyboard.press('Enter');
  }

  /** CodeLens links of the active editor whose text matches. */
  codeLens(text: RegExp): Locator {
    return this.page.locator('.monaco-editor .codelens-decoration a').filter({ hasText: text });
  }

  notification(text: RegExp): Locator {
    return this.page.locator('.notification-list-item-message').filter({ hasText: text });
  }

  /** Chooses an entry of the open quick pick. */
  async pick(text: RegExp): Promise<void> {
    const entry = this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: text });
    await entry.first().click();
  }

  /** Chooses an entry of the open quick pick with the keyboard alone. */
  async choose(text: string): Promise<void> {
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first().waitFor();
    await this.page.keyboard.type(text);
    await this.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: text }).waitFor();
    await this.page.keyboard.press('Enter');
  }

  /** Ticks one entry of the open list with many choices, with the keyboard alone. */
  async tick(text: string): Promise<void> {
    const entry = this.page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first();
    await entry.waitFor();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('ArrowDown');
    await this.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: text }).waitFor();
    // From the input over the box that ticks all to the list.
    for (let presses = 0; presses < 5 && !(await this.listHasFocus()); presses++) {
      await this.page.keyboard.press('Tab');
    }
    await this.page.keyboard.press('Space');
    await this.page.locator('.quick-input-widget .quick-input-count', { hasText: '1 Selected' }).waitFor();
  }

  private listHasFocus(): Promise<boolean> {
    return this.page.evaluate<boolean>("document.activeElement.closest('.quick-input-list .monaco-list') !== null");
  }

  /** Types an answer into the open input box. */
  async type(text: string): Promise<void> {
    await this.page.locator('.quick-input-widget:not(:has(.quick-input-list .monaco-list-row)) input.input').waitFor();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('Enter');
  }

  /** Texts that decorations show at the end of lines of the active editor. */
  async inlineTexts(): Promise<string[]> {
    return this.page.evaluate<string[]>(`
      [...document.querySelectorAll('.monaco-editor .view-line span span')]
        .map((part) => getComputedStyle(part, '::after').content)
        .filter((content) => content !== 'none' && content !== 'normal')
        .map((content) => content.replace(/^"|"$/g, '').replaceAll('\u00a0', ' '))`);
  }

  /** Changes the colour theme as a person does, and waits until the workbench has it. */
  async changeTheme(label: string, className: string): Promise<void> {
    await this.command('Preferences: Color Theme');
    await this.choose(label);
    await this.page.locator(`.monaco-workbench.${className}`).waitFor();
  }

  /** Content of the extension's webview in the side bar: two nested frames. */
  get webviewView(): FrameLocator {
    return innerFrame(
      this.page.locator(`iframe.webview.ready[src*="extensionId=${extensionId}"][src*="purpose=webviewView"]`),
    );
  }

  /** Content of the extension's webview in an editor tab. */
  get webviewPanel(): FrameLocator {
    return innerFrame(
      this.page.locator(`iframe.webview.ready[src*="extensionId=${extensionId}"]:not([src*="purpose=webviewView"])`),
    );
  }
}

function innerFrame(outer: Locator): FrameLocator {
  return outer.contentFrame().locator('iframe#active-frame').contentFrame();
}
