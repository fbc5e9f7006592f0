import { basename } from 'node:path';
import { BaseSequencer } from 'vitest/node';

/**
 * Files that take longest, longest first. Vitest starts with the largest files where it has measured none, as in a fresh clone; small
 * files that compute for long would then come last, each beside an idle core.
 */
const longest = [
  'quantize',
  'reference-results',
  'tinyFamilies',
  'calibrationReference',
  'prune',
  'onnxExport',
  'commandLineHostile',
  'commandLine',
  'gpuGraphs',
  'merge',
  'measuredBudgets',
  'applyFamilies',
  'calibrationFamilies',
  'sensitivityFamilies',
  'reference-families',
  'engine-server',
  'dashboardAccessibility',
  'playground',
  'planEditorAccessibility',
];

/** The order of Vitest, except that the files known to take long come first within their project. */
export class LongestFirst extends BaseSequencer {
  /**
   * @override
   * @param {import('vitest/node').TestSpecification[]} files
   */
  async sort(files) {
    const sorted = await super.sort(files);
    const projects = [...new Set(sorted.map(({ project }) => project.name))];
    return projects.flatMap((name) =>
      sorted.filter(({ project }) => project.name === name).sort((left, right) => place(left) - place(right)),
    );
  }
}

/** @param {import('vitest/node').TestSpecification} file */
function place({ moduleId }) {
  const at = longest.indexOf(basename(moduleId, '.test.ts'));
  return at === -1 ? longest.length : at;
}
