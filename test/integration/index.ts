import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Mocha from 'mocha';

/** The suite is broken, not green, when discovery loses tests. */
const fewestTests = 25;
const testSeconds = 60;

/** Entry point of both runners: @vscode/test-electron on a desktop and the VS Code server's extension host. */
export async function run(): Promise<void> {
  const folder = dirname(fileURLToPath(import.meta.url));
  const results = process.env['MOE_TUNER_TEST_RESULTS'];
  const mocha = new Mocha({
    ui: 'bdd',
    timeout: testSeconds * 1000,
    ...(results === undefined ? { reporter: 'spec' } : { reporter: 'json', reporterOptions: { output: results } }),
  });
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.test.js'))) {
    mocha.addFile(join(folder, name));
  }
  const { tests, failures } = await new Promise<{ tests: number; failures: number }>((resolve) => {
    const runner = mocha.run((count) => resolve({ tests: runner.stats?.tests ?? 0, failures: count }));
  });
  if (tests < fewestTests) {
    throw new Error(`Only ${tests} tests were found, at least ${fewestTests} exist.`);
  }
  if (failures > 0) {
    throw new Error(`${failures} of ${tests} tests failed.`);
  }
}
