import { describe, expect, test } from 'vitest';
import type { PlanEditorUpdate } from '../../engine/protocol/planEditor';
import { pictureFindings } from '../support/pictures';
import { planEditorHarness } from '../support/planEditorHarness';
import { documentOf, everything, measurements, prunedPlan, samplePlan } from '../support/planEditorSamples';
import { webviewThemes } from '../support/webviewThemes';

const editor = planEditorHarness();
// High enough that the explanation at the lower edge covers nothing.
const settings = { pinned: true, width: 640, height: 1800 } as const;
const pruned = prunedPlan();

const sections = [
  { name: 'plan-budgets', selector: '.section-budgets' },
  { name: 'plan-evaluate', selector: '.section-evaluate' },
];

const decided = [
  { name: 'plan-experts', selector: '.section-experts' },
  { name: 'plan-quantization', selector: '.section-quantization' },
];

/** States that change what stands above the sections, which have pictures of their own. */
const states: Readonly<Record<string, readonly PlanEditorUpdate[]>> = {
  'plan-broken': [documentOf(samplePlan, { problem: { message: 'This is no JSON.', line: 3 } })],
  'plan-other': [documentOf(samplePlan), { ...measurements, state: 'other', layers: [], tables: [] }],
};

describe.each(webviewThemes)('the $name theme', (theme) => {
  test('every section of the plan editor, and its states, look as their stored pictures', async () => {
    const view = await editor.open(await everything(), { ...settings, theme });
    const findings = await pictureFindings(view, theme.name, 'plan-editor', sections);
    for (const [name, updates] of Object.entries(states)) {
      for (const update of updates) {
        await view.post(update);
      }
      findings.push(...(await pictureFindings(view, theme.name, name, [{ name }])));
    }
    await view.post(documentOf(pruned.plan));
    await view.post(pruned.measurements);
    findings.push(...(await pictureFindings(view, theme.name, 'plan-editor-decided', decided)));
    expect(findings).toEqual([]);
  });
});
