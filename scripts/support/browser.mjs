import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { findProgram, run } from './run.mjs';

/** Programs that can show the editor, in the order in which they are tried. */
const candidates = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge'];
const macApplications = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/**
 * Finds a Chromium browser: CHROMIUM_EXECUTABLE_PATH, then the system's, then Playwright's own download.
 * @returns {Promise<string | undefined>} Path of the executable.
 */
export async function findBrowser() {
  const chosen = process.env.CHROMIUM_EXECUTABLE_PATH;
  if (chosen) {
    if (!existsSync(chosen)) {
      throw new Error(`CHROMIUM_EXECUTABLE_PATH names ${chosen}, which does not exist.`);
    }
    return chosen;
  }
  for (const name of candidates) {
    const found = await findProgram(name);
    if (found !== undefined) {
      return found;
    }
  }
  return [...macApplications, chromium.executablePath()].find((path) => existsSync(path));
}

/**
 * As {@link findBrowser}, installing one where there is none: from the distribution as root on Debian, else Playwright's.
 * @returns {Promise<string>}
 */
export async function ensureBrowser() {
  const found = await findBrowser();
  if (found !== undefined) {
    return found;
  }
  /** @type {string[]} */
  const attempts = [];
  if (process.getuid?.() === 0 && (await findProgram('apt-get')) !== undefined) {
    console.log('Installing chromium from the distribution …');
    await run('apt-get', ['update', '-qq'], { quiet: true, timeoutSeconds: 120 });
    const { code, stderr } = await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
      quiet: true,
      timeoutSeconds: 300,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (code !== 0) {
      attempts.push(`apt-get install chromium: ${stderr.trim().split('\n').at(-1)}`);
    }
  }
  if ((await findBrowser()) === undefined) {
    console.log("Installing Playwright's chromium …");
    const { code, stderr } = await run('npx', ['playwright-core', 'install', 'chromium'], {
      quiet: true,
      timeoutSeconds: 300,
    });
    if (code !== 0) {
      attempts.push(`playwright-core install chromium: ${stderr.trim().split('\n').at(-1)}`);
    }
  }
  const installed = await findBrowser();
  if (installed === undefined) {
    throw new Error(`No Chromium browser, and none could be installed (${attempts.join('; ')}).`);
  }
  return installed;
}

/**
 * Starts a browser window without a screen. Software rendering, as test machines have no GPU.
 * @returns {Promise<import('playwright-core').Browser>}
 */
export async function launchBrowser() {
  return chromium.launch({
    executablePath: await ensureBrowser(),
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}
