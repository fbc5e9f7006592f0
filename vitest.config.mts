import { defineConfig } from 'vitest/config';
import { LongestFirst } from './scripts/support/longestFirst.mjs';

/** ONNX Runtime must not run in worker threads, and the test machine has few cores. */
const shared = { pool: 'forks', maxWorkers: 2, globals: false } as const;

/** Tests that drive a browser or an editor run one file at a time: each would slow the others past their deadlines. */
const alone = { ...shared, fileParallelism: false, testTimeout: 60_000, hookTimeout: 180_000 } as const;

/** Tests that measure milliseconds have the machine for themselves. */
const timed = ['test/webview/*Speed.test.ts'];

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { ...shared, name: 'golden', include: ['test/golden/**/*.test.ts'], testTimeout: 180_000 } },
      {
        test: {
          ...alone,
          name: 'webview',
          include: ['test/webview/**/*.test.ts'],
          exclude: timed,
          // One browser with its pages for all files of a worker: starting them takes longer than most tests.
          isolate: false,
          fileParallelism: true,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { ...alone, name: 'webview-speed', include: timed, sequence: { groupOrder: 1 } } },
      {
        test: {
          ...alone,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/support/packageSetup.ts'],
          testTimeout: 180_000,
        },
      },
    ],
  },
});
