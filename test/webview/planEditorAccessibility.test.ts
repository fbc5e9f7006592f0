import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { describe, expect, test } from 'vitest';
import type { PlanEditorUpdate } from '../../engine/protocol/planEditor';
import { planEditorHarness } from '../support/planEditorHarness';
import {
  documentOf,
  evaluated,
  everything,
  measurements,
  prunedPlan,
  running,
  samplePlan,
} from '../support/planEditorSamples';
import type { WebviewPage } from '../support/webviewBrowser';
import { webviewThemes } from '../support/webviewThemes';

const editor = planEditorHarness();
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Serious and critical findings of axe, one line each. */
async function findings(view: WebviewPage): Promise<string[]> {
  await view.page.evaluate(`window.axe || (() => { ${axe} })()`);
  const { violations }: AxeResults = await view.page.evaluate(`axe.run(document, { resultTypes: ['violations'] })`);
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ''}`));
}

const pruned = prunedPlan();

/** Messages that bring the page into states a person meets. */
const states: Readonly<Record<string, readonly PlanEditorUpdate[]>> = {
  locked: [documentOf({ ...samplePlan, locked: [2, 3] }), running],
  broken: [documentOf(samplePlan, { problem: { message: 'This is no JSON.', line: 3 } })],
  changedOnDisk: [documentOf(samplePlan, { changedOnDisk: true })],
  other: [documentOf(samplePlan), { ...measurements, state: 'other', layers: [], tables: [] }],
  unmeasured: [documentOf(samplePlan), { ...measurements, tables: [] }],
  experts: [documentOf(pruned.plan), pruned.measurements],
};

describe.each(webviewThemes)('the $name theme', (theme) => {
  test('no serious finding in any state', { timeout: 240_000 }, async () => {
    const view = await editor.open(await everything(), { theme, state: { tables: ['budgets'], selected: [1, 2] } });
    expect(['everything', await findings(view)]).toEqual(['everything', []]);
    for (const [state, updates] of Object.entries(states)) {
      for (const update of updates) {
        await view.post(update);
      }
      expect([state, await findings(view)]).toEqual([state, []]);
    }
  });
});

test('no serious finding at 200 % zoom of a narrow editor', async () => {
  const view = await editor.open(await everything(), { width: 220, state: { tables: ['budgets'] } });
  expect(await findings(view)).toEqual([]);
});

test('the whole editor can be walked with the Tab key, each stop visible', async () => {
  const view = await editor.open([documentOf(samplePlan), evaluated, (await everything())[3]!]);
  const stops: string[] = [];
  for (let step = 0; step < 40; step += 1) {
    await view.page.keyboard.press('Tab');
    if (await view.page.evaluate('document.activeElement === document.body')) {
      break;
    }
    const visible = await view.page.evaluate(`(() => {
      const { width, height } = document.activeElement.getBoundingClientRect();
      const style = getComputedStyle(document.activeElement);
      const inner = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
      const marked = inner.matches(':focus-visible') || document.activeElement.matches(':focus-visible');
      return width > 0 && height > 0 && marked && style.visibility === 'visible';
    })()`);
    const name: string = await view.page.evaluate(
      `document.activeElement.getAttribute('aria-label') || document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent`,
    );
    expect([name, visible]).toEqual([name, true]);
    stops.push(name.trim().replace(/\d[\d.,]*.*$/, ''));
  }
  expect(stops).toEqual([
    'Budgets',
    'Show numbers as a table: Budgets',
    'Active experts',
    'Expert operations per token',
    'Expert bytes per token',
    'Predicted damage',
    'One active expert fewer',
    'One active expert more',
    'Active experts to set',
    'Set',
    'Active experts of the first layer',
    'Active experts of the last layer',
    'Gradient',
    'As trained',
    'Lock',
    'Select all',
    'Layer ',
    'Behind the bars',
    'Best allocation of every total',
    'Evaluate',
    'Evaluate plan…',
    'Apply…',
    'Open dashboard',
    'Baseline against plan',
    'Runs of this plan',
  ]);
});
