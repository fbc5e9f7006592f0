import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EditorWindow } from '../support/editorWindow';
import { eventually } from '../support/processes';
import { stepByStep } from '../support/stepByStep';
import { vsixUnderTest } from '../support/vsix';

/** The whole path without a mouse: nothing here clicks. */
describe('a person with a keyboard alone', () => {
  let editor: EditorWindow;

  beforeAll(async () => {
    editor = await EditorWindow.open({ vsix: vsixUnderTest(), name: 'keyboard' });
    await editor.openFile('sample/config.json');
    await editor.codeLens(/experts active$/).waitFor();
  });

  afterAll(() => editor.dispose());
  stepByStep();

  it('profiles from the palette', async () => {
    await editor.command('MoE Tuner: Profile Sensitivity');
    await eventually('the sensitivity at the end of the line', async () =>
      (await editor.inlineTexts()).find((each) => each.startsWith('Sensitivity at')),
    );
  });

  it('finds budgets from the palette, typing a total of its own', async () => {
    await editor.command('MoE Tuner: Find Budgets');
    await editor.choose('lexi');
    await editor.choose('Another total');
    await editor.type('20');
    await editor.page.locator('.tab.active[data-resource-name="sample.moeplan.json"]').waitFor();
    const plan = JSON.parse(readFileSync(join(editor.workspace, 'sample.moeplan.json'), 'utf8')) as {
      activeExperts: number[];
    };
    expect(plan.activeExperts.reduce((total, each) => total + each, 0)).toBe(20);
  });

  it('reads the heat map cell by cell', async () => {
    await editor.command('MoE Tuner: Open Dashboard in Editor');
    await editor.webviewPanel.getByRole('grid', { name: /Output change by layer/ }).waitFor({ state: 'attached' });
    const focused = editor.webviewPanel.locator('.heat-map [role=grid]:focus');
    for (let presses = 0; presses < 30 && (await focused.count()) === 0; presses++) {
      await editor.page.keyboard.press('Tab');
    }
    const readout = editor.webviewPanel.locator('.heat-map .readout');
    const before = await readout.textContent();
    await editor.page.keyboard.press('ArrowDown');
    const after = await eventually('another cell', async () => {
      const text = await readout.textContent();
      return text !== before && text !== '' ? text : undefined;
    });
    expect(after).toMatch(/^Layer \d, \d active: /);
    await editor.screenshot('heat-map');
  });

  it('evaluates the plan, choosing the tasks in the list', async () => {
    await editor.openFile('sample.moeplan.json');
    await editor.command('MoE Tuner: Evaluate Plan');
    await editor.tick('tasks.jsonl');
    await editor.page.keyboard.press('Enter');
    await editor.codeLens(/^sample\.moeplan\.json: .*accuracy/).waitFor({ timeout: 120_000 });
  });
});
