import { describe, expect, test } from 'vitest';
import type { PlanEditorUpdate } from '../../engine/protocol/planEditor';
import { colourRules, seriousFindings } from '../support/axe';
import { planEditorHarness } from '../support/planEditorHarness';
import {
  documentOf,
  evaluated,
  everything,
  measurements,
  mergedPlan,
  prunedPlan,
  routedPlan,
  running,
  samplePlan,
} from '../support/planEditorSamples';
import { webviewThemes } from '../support/webviewThemes';

const editor = planEditorHarness();

const pruned = prunedPlan();
const routed = routedPlan();

/** Messages that bring the page into states a person meets, as many in one as can be met at once. */
const states: Readonly<Record<string, readonly PlanEditorUpdate[]>> = {
  broken: [documentOf(samplePlan, { problem: { message: 'This is no JSON.', line: 3 } })],
  changedOnDisk: [
    documentOf({ ...samplePlan, locked: [2, 3] }, { changedOnDisk: true, writable: false }),
    { ...measurements, tables: [] },
  ],
  other: [documentOf(samplePlan), { ...measurements, state: 'other', layers: [], tables: [] }],
  experts: [documentOf(pruned.plan), pruned.measurements, ...pruned.scores, running],
  merged: [
    documentOf({ ...mergedPlan(), gates: routed.plan.gates }),
    { ...pruned.measurements, gates: routed.measurements.gates },
  ],
};

describe.each(webviewThemes)('the $name theme', (theme) => {
  test('no serious finding in any state', { timeout: 240_000 }, async () => {
    const rules = theme === webviewThemes[0] ? undefined : colourRules;
    const view = await editor.open(await everything(), { theme, state: { tables: ['budgets'], selected: [1, 2] } });
    expect(['everything', await seriousFindings(view, rules)]).toEqual(['everything', []]);
    for (const [state, updates] of Object.entries(states)) {
      for (const update of updates) {
        await view.post(update);
      }
      expect([state, await seriousFindings(view, rules)]).toEqual([state, []]);
    }
  });
});

test('no serious finding at 200 % zoom of a narrow editor', async () => {
  const view = await editor.open(await everything(), { width: 220, state: { tables: ['budgets'] } });
  expect(await seriousFindings(view)).toEqual([]);
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
    'Prune experts…',
    'Merge experts…',
    'Quantize…',
    'Calibrate on text…',
    'Evaluate',
    'Evaluate plan…',
    'Apply…',
    'Open dashboard',
    'Baseline against plan',
    'Runs of this plan',
  ]);
});
