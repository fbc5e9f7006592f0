import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchBrowser } from './browser.mjs';
import { startEditorServer } from './editorServer.mjs';
import { root, sample, testResults } from './paths.mjs';
import { readMocha } from './report.mjs';

/** Environment variable that tells the suite where to write Mocha's JSON. */
export const resultsVariable = 'MOE_TUNER_TEST_RESULTS';
const suite = join(root, 'dist', 'test', 'integration', 'index.js');
const limitMinutes = 5;

/**
 * Runs test/integration in the extension host of the VS Code server, with a browser as its window.
 * @returns {Promise<import('./report.mjs').Outcome>}
 */
export function runInServer() {
  return withWorkspace('integration-server', async (workspace, results) => {
    const server = await startEditorServer({
      env: { [resultsVariable]: results },
      logFile: join(testResults, 'integration-server.log'),
    });
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      /** @type {(code: number) => void} */
      let ended = () => undefined;
      /** @type {Promise<number>} */
      const exitCode = new Promise((resolve) => (ended = resolve));
      const log = join(testResults, 'integration-window.log');
      rmSync(log, { force: true });
      await page.exposeFunction('codeAutomationLog', (/** @type {string} */ type, /** @type {unknown[]} */ values) =>
        appendFileSync(log, `[${type}] ${values.join(' ')}\n`),
      );
      await page.exposeFunction('codeAutomationExit', (/** @type {number} */ code) => ended(code));
      await page.goto(
        server.address(workspace, [
          ['extensionDevelopmentPath', server.remoteUri(root)],
          ['extensionTestsPath', server.remoteUri(suite.replace(/\.js$/, ''))],
        ]),
      );
      try {
        return await withLimit(exitCode, `the tests did not end within ${limitMinutes} minutes`);
      } catch (error) {
        await page.screenshot({ path: join(testResults, 'integration-server.png') });
        throw error;
      }
    } finally {
      await browser.close();
      await server.stop();
    }
  });
}

/**
 * Runs the same suite in a desktop VS Code.
 * @param {string} executable
 * @returns {Promise<import('./report.mjs').Outcome>}
 */
export function runOnDesktop(executable) {
  return withWorkspace('integration-desktop', async (workspace, results) => {
    const { runTests } = await import('@vscode/test-electron');
    return runTests({
      vscodeExecutablePath: executable,
      extensionDevelopmentPath: root,
      extensionTestsPath: suite,
      extensionTestsEnv: { [resultsVariable]: results },
      launchArgs: [workspace, '--disable-extensions', '--disable-workspace-trust'],
    });
  });
}

/**
 * Gives the suite a copy of the sample checkpoint as its workspace, and judges it by the results it wrote and its exit code.
 * @param {string} name
 * @param {(workspace: string, results: string) => Promise<number>} execute
 */
async function withWorkspace(name, execute) {
  const results = join(testResults, `${name}.json`);
  mkdirSync(testResults, { recursive: true });
  rmSync(results, { force: true });
  const home = mkdtempSync(join(tmpdir(), 'moe-tuner-workspace-'));
  const workspace = join(home, 'workspace');
  try {
    cpSync(sample, join(workspace, 'sample'), { recursive: true });
    const code = await execute(workspace, results);
    if (!existsSync(results)) {
      throw new Error(`The extension host ended with exit code ${code} before the tests wrote their results.`);
    }
    const outcome = readMocha(results);
    if (code !== 0 && outcome.failures.length === 0) {
      outcome.failures.push(`The extension host ended with exit code ${code} although no test failed.`);
    }
    return outcome;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {string} message
 * @returns {Promise<T>}
 */
function withLimit(promise, message) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const limit = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message)), limitMinutes * 60_000);
  });
  return /** @type {Promise<T>} */ (Promise.race([promise, limit])).finally(() => clearTimeout(timer));
}
