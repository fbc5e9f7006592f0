import { defineConfig } from 'vitest/config';

/** ONNX Runtime must not run in worker threads, and the test machine has few cores. */
const shared = { pool: 'forks', maxWorkers: 2, globals: false } as const;

/** Tests that drive a browser or an editor run one file at a time: each would slow the others past their deadlines. */
const alone = { ...shared, fileParallelism: false, testTimeout: 60_000, hookTimeout: 180_000 } as const;

export default defineConfig({
  test: {
    projects: [
      { test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { ...shared, name: 'golden', include: ['test/golden/**/*.test.ts'], testTimeout: 180_000 } },
      { test: { ...alone, name: 'webview', include: ['test/webview/**/*.test.ts'] } },
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
