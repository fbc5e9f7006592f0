import { readFileSync } from 'node:fs';

/**
 * @typedef {object} Outcome
 * @property {number} passed
 * @property {string[]} failures
 * @property {string[]} skips Each with its reason.
 */

/** @returns {Outcome} */
export function emptyOutcome() {
  return { passed: 0, failures: [], skips: [] };
}

/**
 * @param {readonly Outcome[]} outcomes
 * @returns {Outcome}
 */
export function sum(outcomes) {
  return {
    passed: outcomes.reduce((total, { passed }) => total + passed, 0),
    failures: outcomes.flatMap(({ failures }) => failures),
    skips: outcomes.flatMap(({ skips }) => skips),
  };
}

/**
 * The last line of a run: "N passed, N failed", with ", N skipped" where there are any.
 * @param {Outcome} outcome
 */
export function summaryLine({ passed, failures, skips }) {
  return `${passed} passed, ${failures.length} failed${skips.length > 0 ? `, ${skips.length} skipped` : ''}`;
}

/**
 * @typedef {object} MochaReport
 * @property {{ fullTitle: string }[]} passes
 * @property {{ fullTitle: string, err?: { message?: string } }[]} failures
 * @property {{ fullTitle: string }[]} pending
 */

/**
 * Counts the results of Mocha, in the format of its own JSON reporter.
 * @param {string} file
 * @returns {Outcome}
 */
export function readMocha(file) {
  /** @type {MochaReport} */
  const report = JSON.parse(readFileSync(file, 'utf8'));
  return {
    passed: report.passes.length,
    failures: report.failures.map(({ fullTitle, err }) => `${fullTitle}: ${err?.message ?? ''}`),
    skips: report.pending.map(({ fullTitle }) => fullTitle),
  };
}
