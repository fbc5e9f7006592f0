import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { emptyOutcome } from './report.mjs';
import { root } from './paths.mjs';

/** @import { Reporter } from 'vitest/reporters' */

/** Environment variable with the file that receives the outcome. */
export const outcomeVariable = 'MOE_TUNER_OUTCOME';

/**
 * Writes the outcome of a run for scripts/test.mjs. Unlike the JSON reporter it knows why a test was skipped, and
 * counts errors outside of tests as failures.
 * @implements {Reporter}
 */
// eslint-disable-next-line no-restricted-syntax -- Vitest loads custom reporters by their default export.
export default class OutcomeReporter {
  /**
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly import('vitest/node').SerializedError[]} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const outcome = emptyOutcome();
    for (const module of modules) {
      const file = relative(root, module.moduleId);
      for (const test of module.children.allTests()) {
        const result = test.result();
        const title = `${file}: ${test.fullName}`;
        if (result.state === 'passed') {
          outcome.passed++;
        } else if (result.state === 'failed') {
          outcome.failures.push(`${title}: ${firstLine(result.errors[0]?.message)}`);
        } else {
          const note = result.state === 'skipped' ? result.note : 'never ran';
          outcome.skips.push(`${title}: ${note ?? 'the reason stands above, in the output of its file'}`);
        }
      }
      for (const suite of [module, ...module.children.allSuites()]) {
        for (const error of suite.errors()) {
          outcome.failures.push(`${file}: ${firstLine(error.message)}`);
        }
      }
    }
    for (const error of unhandledErrors) {
      outcome.failures.push(`outside of tests: ${firstLine(error.message)}`);
    }
    const target = process.env[outcomeVariable];
    if (target !== undefined) {
      writeFileSync(target, JSON.stringify(outcome));
    }
  }
}

/** @param {string} [message] */
function firstLine(message) {
  return (message ?? '').split('\n')[0] ?? '';
}
