import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planSchema } from '../../engine/protocol/plan';
import { EditorWindow } from '../support/editorWindow';
import { lookAt } from '../support/pixels';
import { eventually } from '../support/processes';
import { stepByStep } from '../support/stepByStep';
import { vsixUnderTest } from '../support/vsix';

/** Colour themes in which the walk ends, with the class of the workbench that tells that the theme is on. */
const themes = [
  { name: 'dark', theme: 'Dark Modern', className: 'vs-dark' },
  { name: 'high-contrast', theme: 'Dark High Contrast', className: 'hc-black' },
  { name: 'high-contrast-light', theme: 'Light High Contrast', className: 'hc-light' },
  { name: 'light', theme: 'Light Modern', className: 'vs' },
];

/** One person, one window: each step goes on where the one before ended. */
describe('a person with a checkpoint', () => {
  let editor: EditorWindow;

  beforeAll(async () => {
    editor = await EditorWindow.open({ vsix: vsixUnderTest(), name: 'walk' });
  });

  afterAll(() => editor.dispose());
  stepByStep();

  it('sees on config.json what the model is and what can be done', async () => {
    await editor.openFile('sample/config.json');
    await editor.codeLens(/^4 of 16 experts active$/).waitFor();
    await editor.codeLens(/^Profile sensitivity$/).waitFor();
    await editor.codeLens(/8 MoE layers/).waitFor();
    await editor.screenshot('1-lenses');
  });

  it('profiles with a click and reads the result on the line', async () => {
    await editor.codeLens(/^Profile sensitivity$/).click();
    const text = await eventually('the sensitivity at the end of the line', async () =>
      (await editor.inlineTexts()).find((each) => each.startsWith('Sensitivity at 2 of 4')),
    );
    expect(text).toMatch(/layer \d changes most \(\d.*%\), layer \d least/);
    await editor.screenshot('2-profiled');
  });

  it('sees the heat map painted in the side bar, with its numbers for those who cannot', async () => {
    await editor.page.locator('.activitybar .action-label[aria-label^="MoE Tuner"]').click();
    const canvas = editor.webviewView.locator('.heat-map canvas');
    await canvas.waitFor();
    await canvas.scrollIntoViewIfNeeded();
    const facts = await eventually('a painted heat map', async () => {
      const seen = lookAt(await canvas.screenshot());
      return seen.colours >= 6 && seen.painted > 0.3 ? seen : undefined;
    });
    expect(facts.width).toBeGreaterThan(100);
    expect(await canvas.getAttribute('aria-label')).toMatch(/^Heat map of 8 layers by 4/);
    const grid = editor.webviewView.getByRole('grid', { name: /Output change by layer/ });
    expect(await grid.getByRole('rowheader').count()).toBe(8);
    await editor.screenshot('3-dashboard');
  });

  it('finds budgets at half the experts and gets them as a plan file', async () => {
    await editor.openFile('sample/config.json');
    await editor.codeLens(/^Find budgets…$/).click();
    await editor.pick(/^relative-squared/);
    await editor.pick(/^2\.00 active experts/);
    await editor.page.locator('.tab.active[data-resource-name="sample.moeplan.json"]').waitFor();
    const plan = planSchema.parse(JSON.parse(readFileSync(join(editor.workspace, 'sample.moeplan.json'), 'utf8')));
    expect(plan.activeExperts).toHaveLength(8);
    expect(plan.activeExperts!.reduce((total, each) => total + each, 0)).toBe(16);
    expect(plan.budget).toMatchObject({ objective: 'relative-squared', total: 16 });
    await editor.screenshot('4-plan');
  });

  it('evaluates the plan and reads the accuracy above it', async () => {
    await editor.codeLens(/^Evaluate plan…$/).click();
    await editor.pick(/^tasks\.jsonl/);
    await editor.page.keyboard.press('Enter');
    const lens = editor.codeLens(/^sample\.moeplan\.json: .*accuracy/);
    await lens.waitFor({ timeout: 120_000 });
    const accuracy = Number(/accuracy ([\d.]+)\s?%/.exec((await lens.textContent()) ?? '')?.[1]);
    // The model as trained scores 97.7 %, and half its experts are nearly enough for it.
    expect(accuracy).toBeGreaterThan(90);
    expect(accuracy).toBeLessThan(99);
    await editor.screenshot('5-evaluated');
  });

  it('is asked how rounded weights are stored before llama.cpp gets them', async () => {
    const quantize = { method: 'rtn', group: 32, symmetric: true, scope: 'experts', seed: 0 };
    const found = planSchema.parse(JSON.parse(readFileSync(join(editor.workspace, 'sample.moeplan.json'), 'utf8')));
    // llama.cpp has one number of active experts for all layers.
    const equal = (value: number) => Array<number>(8).fill(value);
    const plan = { ...found, activeExperts: equal(2), quantize: { ...quantize, layers: equal(4) } };
    writeFileSync(join(editor.workspace, 'rounded.moeplan.json'), JSON.stringify(plan, undefined, 2));
    await editor.openFile('rounded.moeplan.json');
    await editor.codeLens(/^Apply…$/).click();
    await editor.pick(/llama\.cpp/);
    await editor.page.locator('.quick-input-list .monaco-list-row', { hasText: 'K-quants of llama.cpp' }).waitFor();
    await editor.screenshot('5-stored-bits');
    await editor.page.keyboard.press('Escape');
    await editor.openFile('sample.moeplan.json');
  });

  it('lets both models write in the playground, and sees the experts of a token', async () => {
    await editor.codeLens(/^Generate…$/).click();
    const panel = editor.webviewPanel;
    await panel.getByText('Plan: sample.moeplan.json').waitFor();
    await panel.getByLabel('Prompt').fill('copy ssrpp>');
    await panel.getByLabel('Tokens', { exact: true }).fill('6');
    await panel.getByLabel('Prompt').press('Control+Enter');
    await panel.getByText(/same 6 tokens|of 6 positions/).waitFor({ timeout: 120_000 });
    const written = panel.getByRole('listbox', { name: 'Tokens of the model as it was trained' });
    expect((await written.innerText()).trim()).toMatch(/^ssrpp/);
    await written.press('End');
    await panel.getByRole('heading', { name: 'Experts of token 6' }).waitFor();
    expect(await panel.getByRole('table').getByRole('rowheader').count()).toBe(8);
    await editor.screenshot('5-playground');
    await editor.command('View: Close Editor');
  });

  it('finds the evaluation, the budget and the front in the dashboard tab', async () => {
    await editor.command('MoE Tuner: Open Dashboard in Editor');
    const panel = editor.webviewPanel;
    await panel.getByRole('grid', { name: /Chosen active experts per layer/ }).waitFor();
    for (const canvas of await panel.locator('canvas:visible').all()) {
      await canvas.scrollIntoViewIfNeeded();
      await eventually('every chart painted', async () => {
        const { colours, painted } = lookAt(await canvas.screenshot());
        return colours >= 3 && painted > 0.01 ? true : undefined;
      });
    }
    await panel.getByText('Task accuracy').waitFor();
    await panel.getByRole('row', { name: /^Mean/ }).waitFor();
  });

  it.each(themes)('reads everything in the theme $name', async ({ name, theme, className }) => {
    await editor.changeTheme(theme, className);
    const canvas = editor.webviewPanel.locator('.heat-map canvas');
    await canvas.scrollIntoViewIfNeeded();
    await eventually(`a heat map in ${name}`, async () => {
      const { colours, painted } = lookAt(await canvas.screenshot());
      return colours >= 6 && painted > 0.3 ? true : undefined;
    });
    await editor.screenshot(`6-${name}`);
  });

  it('prunes for one of the tasks, and says what stands where experts go', async () => {
    await editor.openFile('sample/config.json');
    await editor.codeLens(/^Prune…$/).click();
    await editor.pick(/^frequency/);
    const rows = editor.page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: 'calibration.jsonl' }).waitFor();
    await editor.page.keyboard.press('Enter');
    await editor.pick(/^25\.0 % fewer experts/);
    await rows.filter({ hasText: 'copy' }).waitFor();
    await editor.screenshot('7-tasks');
    await editor.page.locator('.quick-input-header').getByRole('checkbox').first().click();
    await editor.pick(/^copy/);
    await editor.page.keyboard.press('Enter');
    await rows.filter({ hasText: 'Their mean output' }).waitFor({ state: 'detached' });
    await rows.filter({ hasText: 'Their router rows go too' }).waitFor();
    await editor.screenshot('7-replacement');
    await editor.pick(/^Zero/);
    await editor.pick(/^Update sample\.moeplan\.json/);
    const plan = await eventually('the pruned plan', async () => {
      const text = await readFile(join(editor.workspace, 'sample.moeplan.json'), 'utf8');
      return planSchema.parse(JSON.parse(text)).prune;
    });
    expect(plan).toMatchObject({ method: 'frequency', tasks: ['copy'], replacement: 'zero' });
    expect(plan.keep.every((kept) => kept.length === 12)).toBe(true);
  });

  it('left the checkpoint itself as it was', () => {
    expect(existsSync(join(editor.workspace, 'sample', 'model.safetensors'))).toBe(true);
    expect(readFileSync(join(editor.workspace, 'sample', 'config.json'), 'utf8')).toContain('"num_experts_per_tok": 4');
  });
});
