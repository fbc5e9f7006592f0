import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDependencies } from './support/dependencies.mjs';
import { root, testResults } from './support/paths.mjs';
import { emptyOutcome, sum, summaryLine } from './support/report.mjs';
import { run } from './support/run.mjs';

/** @typedef {import('./support/report.mjs').Outcome} Outcome */

const modules = join(root, 'node_modules');

/**
 * A check that is one program: one test that passes when the program does.
 * @param {string} name
 * @param {readonly (readonly string[])[]} commands Scripts below node_modules with their arguments.
 * @returns {() => Promise<Outcome>}
 */
function check(name, commands) {
  return async () => {
    for (const [script, ...args] of commands) {
      const { code, stdout, stderr } = await run(process.execPath, [join(modules, script ?? ''), ...args], {
        quiet: true,
        timeoutSeconds: 240,
      });
      if (code !== 0) {
        console.log(`${stdout}${stderr}`.trim());
        return { ...emptyOutcome(), failures: [`${name}: exit code ${code}`] };
      }
    }
    return { ...emptyOutcome(), passed: 1 };
  };
}

/**
 * One project of vitest.config.mts.
 * @param {string} project
 * @param {() => Promise<NodeJS.ProcessEnv>} [prepare]
 * @returns {() => Promise<Outcome>}
 */
function vitest(project, prepare) {
  return async () => {
    const file = join(testResults, `${project.replace('*', '')}.json`);
    rmSync(file, { force: true });
    const reporters = ['--reporter=default', '--reporter=./scripts/support/vitestReporter.mjs'];
    const { code } = await run(
      process.execPath,
      [join(modules, 'vitest', 'vitest.mjs'), 'run', '--project', project, ...reporters],
      { env: { ...(await prepare?.()), MOE_TUNER_OUTCOME: file }, timeoutSeconds: 600 },
    );
    if (!existsSync(file)) {
      return { ...emptyOutcome(), failures: [`${project}: Vitest ended with exit code ${code} and no results`] };
    }
    /** @type {Outcome} */
    const outcome = JSON.parse(readFileSync(file, 'utf8'));
    if (code !== 0 && outcome.failures.length === 0) {
      outcome.failures.push(`${project}: Vitest ended with exit code ${code}`);
    }
    return outcome;
  };
}

async function build() {
  const { build: bundle } = await import('./build.mjs');
  await bundle({ strict: true });
  return { ...emptyOutcome(), passed: 1 };
}

async function integration() {
  const { runInServer, runOnDesktop } = await import('./support/integration.mjs');
  const outcomes = [await runInServer()];
  const desktop = process.env.VSCODE_EXECUTABLE_PATH;
  if (desktop) {
    outcomes.push(await runOnDesktop(desktop));
  } else {
    console.log('Ran in the VS Code server only: VSCODE_EXECUTABLE_PATH names no desktop VS Code.');
  }
  return sum(outcomes);
}

/** Environment for tests that drive a browser. */
async function browser() {
  const { ensureBrowser } = await import('./support/browser.mjs');
  return { CHROMIUM_EXECUTABLE_PATH: await ensureBrowser() };
}

/**
 * Everything there is to check, cheapest first.
 * @type {Readonly<Record<string, () => Promise<Outcome>>>}
 */
const stages = {
  types: check('types', [
    ['typescript/bin/tsc', '-p', '.'],
    ['typescript/bin/tsc', '-p', 'webviews'],
  ]),
  lint: check('lint', [['eslint/bin/eslint.js', '.', '--max-warnings', '0']]),
  format: check('format', [['prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.']]),
  build,
  unit: vitest('unit'),
  golden: vitest('golden'),
  // Pages first, then what measures milliseconds.
  webview: vitest('webview*', browser),
  integration,
  e2e: vitest('e2e', browser),
};

/** Stages that print nothing unless they fail. */
const sourceChecks = ['types', 'lint', 'format'];

/** @param {string} name */
async function runStage(name) {
  console.log(`\n── ${name}`);
  const started = Date.now();
  /** @type {Outcome} */
  let outcome;
  try {
    outcome = (await stages[name]?.()) ?? emptyOutcome();
  } catch (error) {
    outcome = { ...emptyOutcome(), failures: [`${name}: ${error instanceof Error ? error.message : String(error)}`] };
  }
  console.log(`${name}: ${summaryLine(outcome)} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return outcome;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in stages));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(', ')}. Choose from ${Object.keys(stages).join(', ')}, or nothing for all.`);
  process.exit(2);
}
await ensureDependencies();
mkdirSync(testResults, { recursive: true });
const chosen = Object.keys(stages).filter((name) => wanted.length === 0 || wanted.includes(name));
// The quiet checks of the source share the cores; everything else is measured or drives an editor and runs alone.
const together = chosen.filter((name) => sourceChecks.includes(name));
const outcomes = await Promise.all(together.map(runStage));
for (const name of chosen.filter((each) => !together.includes(each))) {
  outcomes.push(await runStage(name));
}
const total = sum(outcomes);
console.log('');
for (const reason of total.skips) {
  console.log(`Skipped: ${reason}`);
}
for (const failure of total.failures) {
  console.log(`Failed: ${failure}`);
}
console.log(summaryLine(total));
process.exit(total.failures.length === 0 && total.passed > 0 ? 0 : 1);
