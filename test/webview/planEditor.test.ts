import { describe, expect, test } from 'vitest';
import { editsOf, planEditorEntry, planEditorHarness } from '../support/planEditorHarness';
import {
  documentOf,
  everything,
  evaluated,
  frontOf,
  idle,
  lossTable,
  measurements,
  running,
  samplePlan,
} from '../support/planEditorSamples';
import type { WebviewPage } from '../support/webviewBrowser';
import { bundleWebview } from '../support/webviewBundle';

const editor = planEditorHarness();
const numbers = samplePlan.activeExperts!;

function shown(view: WebviewPage): Promise<number[]> {
  return view.page
    .locator('.layer-bar')
    .evaluateAll((bars: { getAttribute(name: string): string | null }[]) =>
      bars.map((bar) => Number(bar.getAttribute('aria-valuenow'))),
    );
}

function changed(changes: Readonly<Record<number, number>>): number[] {
  return numbers.map((active, position) => changes[position] ?? active);
}

async function drag(view: WebviewPage, position: number, levels: number): Promise<void> {
  const box = (await view.page.locator('.layer-bar').nth(position).boundingBox())!;
  const x = box.x + box.width / 2;
  const y = box.y + box.height / 2;
  await view.page.mouse.move(x, y);
  await view.page.mouse.down();
  await view.page.mouse.move(x, y - (levels * box.height) / 16);
  await view.page.mouse.move(x, y - (levels * box.height) / 8);
}

describe('the bars', () => {
  test('show the plan as spin buttons over a painted canvas, and ask for nothing', async () => {
    const view = await editor.open(await everything());
    expect(await shown(view)).toEqual(numbers);
    const bar = view.page.getByRole('spinbutton', { name: 'Layer 3', exact: true });
    expect(await bar.getAttribute('aria-valuetext')).toMatch(/^Layer 3: 4 of 8 active, predicted loss \d/);
    const { painted, colours } = await view.canvas('.budget-bars canvas');
    expect([painted > 0.6, colours > 20]).toEqual([true, true]);
    expect(await editsOf(view)).toEqual([]);
  });

  test('a drag shows every step, and is one edit when it ends', async () => {
    const view = await editor.open(await everything());
    await drag(view, 2, -2);
    await expect.poll(() => shown(view)).toEqual(changed({ 2: 2 }));
    expect(await editsOf(view)).toEqual([]);
    await view.page.mouse.up();
    expect(await editsOf(view)).toEqual([{ kind: 'setBudgets', edit: 1, changes: [{ position: 2, active: 2 }] }]);
    expect(await shown(view)).toEqual(changed({ 2: 2 }));
  });

  test('a drag never leaves the range from one to the trained number', async () => {
    const view = await editor.open(await everything());
    await drag(view, 2, 7);
    await expect.poll(() => shown(view)).toEqual(changed({ 2: 8 }));
    await view.page.mouse.up();
    await drag(view, 4, -7);
    await expect.poll(() => shown(view)).toEqual(changed({ 2: 8, 4: 1 }));
    await view.page.mouse.up();
  });

  test('Escape breaks a drag off', async () => {
    const view = await editor.open(await everything());
    await drag(view, 2, -2);
    await expect.poll(() => shown(view)).toEqual(changed({ 2: 2 }));
    await view.page.keyboard.press('Escape');
    await view.page.mouse.up();
    expect(await shown(view)).toEqual(numbers);
    expect(await editsOf(view)).toEqual([]);
  });

  test('selected bars are dragged together, locked ones stay', async () => {
    const plan = { ...samplePlan, locked: [5] };
    const view = await editor.open([documentOf(plan), measurements, idle]);
    const bars = view.page.locator('.layer-bar');
    await bars.nth(4).click();
    await bars.nth(6).click({ modifiers: ['Shift'] });
    await drag(view, 4, 1);
    await view.page.mouse.up();
    expect(await editsOf(view)).toEqual([
      {
        kind: 'setBudgets',
        edit: 1,
        changes: [
          { position: 4, active: 6 },
          { position: 6, active: 6 },
        ],
      },
    ]);
    expect(await bars.nth(5).getAttribute('aria-readonly')).toBe('true');
  });

  test('keys change one layer, a held key is one edit', async () => {
    const view = await editor.open(await everything());
    const { keyboard } = view.page;
    await view.page.locator('.layer-bar').nth(0).focus();
    await keyboard.press('ArrowUp');
    await keyboard.press('ArrowRight');
    await keyboard.down('ArrowDown');
    await keyboard.down('ArrowDown');
    await keyboard.up('ArrowDown');
    await keyboard.press('ArrowRight');
    await keyboard.press('7');
    await keyboard.press('Delete');
    await keyboard.press('Home');
    const changes = (await editsOf(view)).map((edit) => (edit.kind === 'setBudgets' ? edit.changes : edit));
    expect(changes).toEqual([
      [{ position: 0, active: 4 }],
      [{ position: 1, active: 2 }],
      [{ position: 2, active: 7 }],
      [{ position: 2, active: 8 }],
      [{ position: 2, active: 1 }],
    ]);
  });

  test('the selection is made by keyboard, and the buttons work on it', async () => {
    const view = await editor.open(await everything());
    const { keyboard } = view.page;
    await view.page.locator('.layer-bar').nth(8).focus();
    await keyboard.press('Shift+ArrowRight');
    await keyboard.press('Shift+ArrowRight');
    await view.page.getByText('3 selected').waitFor();
    await view.page.getByRole('spinbutton', { name: 'Active experts of the first layer' }).fill('1');
    await view.page.getByRole('spinbutton', { name: 'Active experts of the last layer' }).fill('5');
    await view.page.getByRole('button', { name: 'Gradient' }).click();
    await view.page.getByRole('button', { name: 'Lock', exact: true }).click();
    expect(await editsOf(view)).toEqual([
      {
        kind: 'setBudgets',
        edit: 1,
        changes: [
          { position: 8, active: 1 },
          { position: 9, active: 3 },
          { position: 10, active: 5 },
        ],
      },
      { kind: 'setLocked', edit: 2, locked: [8, 9, 10] },
    ]);
    await view.page.getByText('Unlock').waitFor();
    expect(await view.state()).toMatchObject({ selected: [8, 9, 10], layer: 10 });
  });

  test('follow the document, and keep edits that are still on their way', async () => {
    const view = await editor.open(await everything());
    await view.page.locator('.layer-bar').nth(0).focus();
    await view.page.keyboard.press('ArrowUp');
    await view.post(documentOf({ ...samplePlan, activeExperts: changed({ 7: 1 }) }));
    expect(await shown(view)).toEqual(changed({ 7: 1, 0: 4 }));
    await view.post(documentOf({ ...samplePlan, activeExperts: changed({ 7: 1 }) }, { applied: 1 }));
    expect(await shown(view)).toEqual(changed({ 7: 1 }));
  });

  test('have the numbers as a table when asked, with what one more or fewer would change', async () => {
    const view = await editor.open(await everything());
    await view.page.getByRole('button', { name: 'Show numbers as a table: Budgets' }).click();
    const grid = view.page.getByRole('grid', { name: 'Active experts per layer, as a table' });
    const row = lossTable.rows[3]!;
    const cells = await grid.locator('tbody tr').nth(3).locator('td').allTextContents();
    expect(cells.slice(0, 2)).toEqual(['4', '8']);
    expect(Number(cells[2])).toBeCloseTo(row[3]!, 4);
    expect(Number(cells[3]!.replace('−', '-'))).toBeCloseTo(row[2]! - row[3]!, 4);
    expect(Number(cells[4]!.replace('−', '-'))).toBeCloseTo(row[4]! - row[3]!, 4);
  });
});

describe('totals and explanations', () => {
  test('are the sums of the plan and follow a drag before it ends', async () => {
    const view = await editor.open(await everything());
    const values = view.page.locator('.section-budgets .total-value');
    const predicted = numbers.reduce((sum, active, layer) => sum + lossTable.rows[layer]![active - 1]!, 0);
    expect(await values.allTextContents()).toEqual([
      '5.00 of 8.00',
      '7.37M (62.5%)',
      '7.37\u00a0MB (62.5%)',
      predicted.toPrecision(3),
    ]);
    await drag(view, 2, 3);
    await expect.poll(() => values.first().textContent()).toBe('5.25 of 8.00');
    await view.page.mouse.up();
  });

  test('say rule, number and source of whatever has the focus', async () => {
    const view = await editor.open(await everything());
    const panel = view.page.getByRole('complementary', { name: 'Explanation' });
    await view.page.locator('.layer-bar').nth(2).focus();
    expect(await panel.innerText()).toMatch(
      /Layer 2[^]*Chosen by relative-squared with the exact solver for 60[^]*One fewer: \+[^]*Sensitivity profile, 16,384 gaussian tokens/,
    );
    await view.page.keyboard.press('ArrowDown');
    await expect
      .poll(() => panel.innerText())
      .toMatch(/Changed by hand: relative-squared with the exact solver chose 4 here/);
    await view.page.locator('.total').nth(1).focus();
    expect(await panel.innerText()).toContain('Two operations for each weight');
    await view.page.locator('.evaluation [role=grid]').first().focus();
    await view.page.keyboard.press('ArrowRight');
    expect(await panel.innerText()).toMatch(/prose: Plan[^]*Exponential of the mean negative log-likelihood/);
  });
});

describe('the slider along the front', () => {
  test('stands at the plan, previews while it moves, and one key is one whole allocation', async () => {
    const front = await frontOf(lossTable);
    const view = await editor.open(await everything());
    const slider = view.page.getByRole('slider', { name: 'Best allocation of every total' });
    const best = front.points.find(({ total }) => total === 60)!;
    expect(await slider.getAttribute('aria-valuetext')).toContain('60 in total, 5.00 on average');
    expect(await view.page.locator('.front-standing').innerText()).toMatch(/% above the best of its total/);
    await slider.focus();
    await view.page.keyboard.press('ArrowRight');
    const next = front.points.find(({ total }) => total === 61)!;
    expect(await shown(view)).toEqual(next.activeExperts);
    const [edit] = await editsOf(view);
    expect(edit).toMatchObject({
      kind: 'setBudgets',
      solved: { table: 'relative-squared', total: 61, predicted: next.predicted },
    });
    expect(best.predicted).toBeGreaterThan(next.predicted!);
  });

  test('waits while locks ask for another front', async () => {
    const view = await editor.open(await everything());
    const slider = view.page.getByRole('slider', { name: 'Best allocation of every total' });
    await view.page.locator('.layer-bar').nth(1).focus();
    await view.page.keyboard.press('l');
    expect(await slider.isDisabled()).toBe(true);
    expect(await view.page.locator('.front-output').innerText()).toBe('Solving…');
    await view.post(await frontOf(lossTable, [{ position: 1, active: 4 }]));
    expect(await slider.isEnabled()).toBe(true);
    await slider.focus();
    await view.page.keyboard.press('Home');
    expect(await shown(view)).toEqual([1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  });

  test('another table behind the bars asks for its front', async () => {
    const view = await editor.open(await everything());
    const choice = view.page.getByRole('combobox', { name: 'Behind the bars' });
    await choice.focus();
    await view.page.keyboard.press('ArrowDown');
    expect((await view.messages()).at(-1)).toEqual({ kind: 'useTable', table: 'lexi' });
    expect(await view.state()).toMatchObject({ lossTable: 'lexi' });
  });
});

describe('states', () => {
  test('before the first message the page says that it loads', async () => {
    const view = await editor.open();
    await view.page.getByText('Loading…').waitFor();
    expect(await view.messages()).toEqual([{ kind: 'ready', version: 1 }]);
  });

  test('a broken text keeps the last plan in sight, unusable, with the line and a way to it', async () => {
    const view = await editor.open(await everything());
    await view.post(documentOf(samplePlan, { problem: { message: 'This is no JSON: ColonExpected.', line: 7 } }));
    await view.page.getByText('This plan cannot be shown: line 7, This is no JSON: ColonExpected.').waitFor();
    expect(await shown(view)).toEqual(numbers);
    const bar = view.page.locator('.layer-bar').nth(3);
    const canFocus = (): Promise<boolean> =>
      bar.evaluate((target: { focus(): void; ownerDocument: { activeElement: unknown } }) => {
        target.focus();
        return target.ownerDocument.activeElement === target;
      });
    expect(await canFocus()).toBe(false);
    await view.page.getByRole('button', { name: 'Show in the text' }).click();
    expect((await view.messages()).at(-1)).toEqual({ kind: 'openText', line: 7 });
    await view.post(documentOf(samplePlan));
    expect(await canFocus()).toBe(true);
  });

  test('a plan that never was readable shows the problem alone', async () => {
    const broken = documentOf(undefined, { problem: { message: 'The file is empty.', line: 1 } });
    const view = await editor.open([broken, measurements, idle]);
    await view.page.getByText('This plan cannot be shown: line 1, The file is empty.').waitFor();
    expect(await view.page.locator('.layer-bar').count()).toBe(0);
  });

  test('a plan for another model is shown and not changed', async () => {
    const other = { ...measurements, state: 'other' as const, checkpoint: 'small', layers: [], tables: [] };
    const view = await editor.open([documentOf(samplePlan), other, idle]);
    await view.page.getByText('This plan was made for “olmoe-text”; “small” has other weights.').waitFor();
    await view.page.locator('.layer-bar').nth(0).focus();
    await view.page.keyboard.press('ArrowUp');
    await drag(view, 2, 2);
    await view.page.mouse.up();
    expect(await shown(view)).toEqual(numbers);
    expect(await editsOf(view)).toEqual([]);
    expect(await view.page.locator('.front-slider').isVisible()).toBe(false);
  });

  test('without its checkpoint a plan can be changed, by position', async () => {
    const none = { ...measurements, state: 'none' as const, layers: [], tables: [] };
    const view = await editor.open([documentOf(samplePlan), none, idle]);
    await view.page.getByText('The checkpoint of this plan, olmoe-text, is not in the workspace.').waitFor();
    await view.page.locator('.layer-bar').nth(0).focus();
    await view.page.keyboard.press('ArrowUp');
    expect(await editsOf(view)).toHaveLength(1);
    expect(await view.page.locator('.total:visible').count()).toBe(1);
  });

  test('a plan without numbers starts from the trained ones', async () => {
    const view = await editor.open([documentOf({ version: 1 }), measurements, idle]);
    expect(await shown(view)).toEqual(numbers.map(() => 8));
    await view.page.locator('.layer-bar').nth(0).focus();
    await view.page.keyboard.press('ArrowDown');
    expect(await editsOf(view)).toEqual([{ kind: 'setBudgets', edit: 1, changes: [{ position: 0, active: 7 }] }]);
  });

  test('another number of layers is said, with both counts', async () => {
    const view = await editor.open([documentOf({ version: 1, activeExperts: [4, 4, 4] }), measurements, idle]);
    await view.page.getByText('The plan lists 3 numbers, the checkpoint has 12 MoE layers.').waitFor();
    expect(await view.page.locator('.layer-bar').count()).toBe(0);
  });

  test('a file changed on disk offers to compare and to take it', async () => {
    const view = await editor.open([documentOf(samplePlan, { changedOnDisk: true }), measurements, idle]);
    await view.page.getByText('Compare with the saved file').click();
    await view.page.getByText('Take the saved file').click();
    expect((await view.messages()).slice(1)).toEqual([
      { kind: 'action', action: 'compareWithSaved' },
      { kind: 'action', action: 'revert' },
    ]);
  });

  test('where nothing was measured the way to measurements is one press away', async () => {
    const view = await editor.open([documentOf(samplePlan), { ...measurements, tables: [] }, idle]);
    await view.page.getByRole('button', { name: 'Profile sensitivity' }).click();
    expect((await view.messages()).at(-1)).toEqual({ kind: 'action', action: 'profile' });
    expect(await view.page.locator('.section-budgets .front-slider').isVisible()).toBe(false);
  });

  test('a running job shows how far it is, and evaluating waits for it', async () => {
    const view = await editor.open([documentOf(samplePlan), evaluated, running]);
    expect(await view.page.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('40');
    expect(
      await view.page
        .getByText('Evaluate plan…')
        .locator('xpath=ancestor-or-self::moe-button')
        .getAttribute('disabled'),
    ).not.toBeNull();
    await view.page.getByRole('button', { name: 'Cancel' }).click();
    expect((await view.messages()).at(-1)).toEqual({ kind: 'action', action: 'cancel' });
  });

  test('what the person arranged survives the page', async () => {
    const first = await editor.open(await everything());
    await first.page.locator('.layer-bar').nth(5).click();
    await first.page.getByRole('button', { name: 'Evaluate', exact: true }).click();
    const state = (await first.state()) as object;
    const second = await editor.open(await everything(), { state });
    expect(await second.page.locator('.layer-bar[tabindex="0"]').getAttribute('aria-label')).toBe('Layer 5');
    expect(await second.page.locator('.evaluation').isVisible()).toBe(false);
    const third = await editor.open(await everything(), { state: { layer: 'x', selected: 3 } });
    expect(await shown(third)).toEqual(numbers);
  });
});

describe('evaluations', () => {
  test('the newest run stands against the baseline; an older one can be chosen', async () => {
    const view = await editor.open(await everything());
    const results = view.page.getByRole('grid', { name: 'Baseline against plan' });
    expect(await results.locator('tbody tr').first().locator('td').allTextContents()).toEqual([
      '12.96',
      '13.14',
      '+1.4%',
      '0.0210',
      '93.4%',
    ]);
    await view.page.getByRole('grid', { name: 'Runs of this plan' }).focus();
    await view.page.keyboard.press('ArrowDown');
    expect(await results.locator('tbody tr').first().locator('td').nth(1).textContent()).toBe('13.84');
    expect(await view.state()).toMatchObject({ evaluation: evaluated.evaluations[0]!.finished });
  });

  test('say whether they had the numbers of now', async () => {
    const runs = evaluated.evaluations;
    const same = { ...runs[1]!, activeExperts: [...numbers] };
    const view = await editor.open([documentOf(samplePlan), { ...evaluated, evaluations: [runs[0]!, same] }, idle]);
    const history = view.page.getByRole('grid', { name: 'Runs of this plan' });
    const column = (): Promise<string[]> => history.locator('tbody td:last-child').allTextContents();
    expect(await column()).toEqual(['as now', 'other']);
    await view.page.locator('.layer-bar').nth(0).focus();
    await view.page.keyboard.press('ArrowUp');
    await expect.poll(column).toEqual(['other', 'other']);
  });
});

describe('the bundle', () => {
  test('stays under 500 kB', async () => {
    const { script, style } = await bundleWebview(planEditorEntry);
    console.log(`plan editor: ${script.length} bytes, style ${style.length} bytes`);
    expect(script.length).toBeLessThan(500_000);
    expect(style.length).toBeGreaterThan(1000);
  });
});
