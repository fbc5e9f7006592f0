import { resolve } from 'node:path';
import { ESLint } from 'eslint';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/support/paths.mjs';
import { importLawRule, rooms, whyForbidden } from '../../scripts/lint/importLaw.mjs';
import tseslint from 'typescript-eslint';

/** The rule alone, without types: what is tested here are imports. */
const eslint = new ESLint({
  cwd: root,
  overrideConfigFile: true,
  baseConfig: [
    {
      files: ['**/*.ts'],
      languageOptions: { parser: tseslint.parser },
      plugins: { moe: { rules: { 'import-law': importLawRule } } },
      rules: { 'moe/import-law': 'error' },
    },
  ],
});

async function messages(file: string, code: string): Promise<string[]> {
  const [result] = await eslint.lintText(code, { filePath: resolve(root, file) });
  return result!.messages.map(({ message }) => message);
}

const forbidden: [file: string, code: string][] = [
  ['engine/protocol/plan.ts', "import { readFileSync } from 'node:fs';"],
  ['engine/protocol/plan.ts', "import type { Checkpoint } from '../checkpoint/types';"],
  ['engine/checkpoint/reader.ts', "import * as ort from 'onnxruntime-node';"],
  ['engine/checkpoint/reader.ts', "import { session } from '../runtime/session';"],
  ['engine/families/mixtral.ts', "import { session } from '../runtime/session';"],
  ['engine/graph/layer.ts', "import { readFile } from 'node:fs/promises';"],
  ['engine/graph/layer.ts', "import fs from 'fs';"],
  ['engine/graph/layer.ts', "import { InferenceSession } from 'onnxruntime-node';"],
  ['engine/runtime/session.ts', "import { knapsack } from '../methods/budgets/exact';"],
  ['engine/measure/profile.ts', "import { knapsack } from '../methods/budgets/exact';"],
  ['engine/measure/profile.ts', "import { Tensor } from 'onnxruntime-node';"],
  ['engine/methods/prune/reap.ts', "import { readFile } from 'node:fs/promises';"],
  ['engine/methods/prune/reap.ts', "import * as vscode from 'vscode';"],
  ['engine/methods/prune/reap.ts', "import { session } from '../../runtime/session';"],
  ['engine/methods/prune/reap.ts', "import { Tensor } from 'onnxruntime-common';"],
  ['engine/jobs/profileJob.ts', "import { activate } from '../../extension/extension';"],
  ['engine/server.ts', "import * as vscode from 'vscode';"],
  ['extension/extension.ts', "import { runProfile } from '../engine/jobs/profileJob';"],
  ['extension/extension.ts', "const job = await import('../engine/jobs/profileJob');"],
  ['extension/extension.ts', "let job: import('../engine/jobs/profileJob').Job;"],
  ['extension/extension.ts', "const ort = require('onnxruntime-node');"],
  ['extension/plan/editor.ts', "export { main } from '../../webviews/dashboard/main';"],
  ['webviews/dashboard/main.ts', "import * as vscode from 'vscode';"],
  ['webviews/dashboard/main.ts', "import { Chart } from 'chart.js';"],
  ['webviews/dashboard/main.ts', "import 'chart.js/auto';"],
  ['webviews/dashboard/main.ts', "import { join } from 'node:path';"],
  ['webviews/dashboard/main.ts', "import { openCheckpoint } from '../../engine/checkpoint/open';"],
  ['webviews/charts/heatMap.ts', "import { Button } from '@vscode/webview-ui-toolkit';"],
  ['scripts/anything.ts', "import 'onnxruntime-node';"],
];

const allowed: [file: string, code: string][] = [
  ['engine/protocol/plan.ts', "import * as z from 'zod';\nimport { planVersion } from './version';"],
  ['engine/checkpoint/reader.ts', "import { open } from 'node:fs/promises';\nimport './types';"],
  ['engine/graph/layer.ts', "import type { Family } from '../families/types';\nimport { join } from 'node:path';"],
  ['engine/runtime/session.ts', "import { InferenceSession } from 'onnxruntime-node';"],
  ['engine/measure/profile.ts', "import { session } from '../runtime/session';"],
  ['engine/methods/budgets/exact.ts', "import { TunerError } from '../../protocol/errors';"],
  ['engine/jobs/profileJob.ts', "import { knapsack } from '../methods/budgets/exact';\nimport '../runtime/session';"],
  [
    'extension/extension.ts',
    "import * as vscode from 'vscode';\nimport { planSchema } from '../engine/protocol/plan';",
  ],
  [
    'webviews/dashboard/main.ts',
    "import { drawHeatMap } from '../charts/heatMap';\nimport '../../engine/protocol/plan';",
  ],
  ['webviews/charts/heatMap.ts', "import { Chart } from 'chart.js';"],
  ['webviews/ui-kit/register.ts', "import { vsCodeButton } from '@vscode/webview-ui-toolkit';"],
  ['test/golden/block.test.ts', "import 'onnxruntime-node';\nimport '../../engine/runtime/session';"],
];

describe('the import law', () => {
  it.each(forbidden)('%s must not say %s', async (file, code) => {
    expect(await messages(file, code)).toEqual([expect.stringMatching(/^Import law: /)]);
  });

  it.each(allowed)('%s may say %s', async (file, code) => {
    expect(await messages(file, code)).toEqual([]);
  });

  it('judges every room: each has something it must not know', () => {
    for (const [room, law] of Object.entries(rooms)) {
      const packages = law.packages ?? (law.only === undefined ? [] : ['vscode']);
      const broken = [
        ...(law.rooms ?? []).map((other) => {
          const up = '../'.repeat(room.split('/').length);
          return whyForbidden(`${room}/file.ts`, `${up}${other}/file`);
        }),
        ...packages
          .filter((name) => name !== 'node' && name !== 'files')
          .map((name) => whyForbidden(`${room}/f.ts`, name)),
      ];
      expect(broken.length, room).toBeGreaterThan(0);
      expect(
        broken.filter((reason) => reason === undefined),
        room,
      ).toEqual([]);
    }
  });

  it('is part of the configuration that `npm run lint` uses', async () => {
    const configuration: unknown = await new ESLint({ cwd: root }).calculateConfigForFile(
      resolve(root, 'engine/protocol/plan.ts'),
    );
    expect(configuration).toHaveProperty(['rules', 'moe/import-law', 0], 2);
  });

  it('comes with the other rules of the house: no default exports, barrels, any or forgotten promises', async () => {
    const [result] = await new ESLint({ cwd: root }).lintText(
      [
        "export * from './plan';",
        'export default function work(value: any): Promise<unknown> {',
        '  return Promise.resolve(value);',
        '}',
        "work('');",
      ].join('\n'),
      { filePath: resolve(root, 'engine/protocol/errors.ts') },
    );
    expect(result!.messages.map(({ ruleId }) => ruleId)).toEqual(
      expect.arrayContaining([
        'no-restricted-syntax',
        '@typescript-eslint/no-explicit-any',
        '@typescript-eslint/no-floating-promises',
      ]),
    );
    expect(result!.messages.filter(({ ruleId }) => ruleId === 'no-restricted-syntax')).toHaveLength(2);
  });
});
