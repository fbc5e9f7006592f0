import { describe, expect, test } from 'vitest';
import { editsOf, planEditorHarness } from '../support/planEditorHarness';
import { documentOf, idle, measurements, prunedPlan, samplePlan } from '../support/planEditorSamples';
import type { WebviewPage } from '../support/webviewBrowser';

const editor = planEditorHarness();
const { plan, measurements: known } = prunedPlan();
const keep = plan.prune!.keep;

async function open(part: Parameters<typeof editor.open>[1] = {}): Promise<WebviewPage> {
  return editor.open([documentOf(plan), known, idle], { state: { collapsed: ['budgets'] }, height: 1300, ...part });
}

describe('the experts', () => {
  test('are absent while the plan neither prunes nor merges', async () => {
    const view = await editor.open([documentOf(samplePlan), measurements, idle]);
    expect(await view.page.locator('.section-experts').isVisible()).toBe(false);
    expect(await view.page.locator('.section-quantization').isVisible()).toBe(false);
  });

  test('stand in a painted grid with a table of words behind it', async () => {
    const view = await open();
    const { painted, colours } = await view.canvas('.expert-grid canvas');
    expect([painted > 0.5, colours > 30]).toEqual([true, true]);
    const kept = keep.reduce((sum, each) => sum + each.length, 0);
    const facts = view.page.locator('.section-experts .note').first();
    expect(await facts.innerText()).toContain(`${kept} of 384 experts in 12 layers are left`);
    await view.page.getByRole('button', { name: 'Show numbers as a table: Experts' }).click();
    const row = view.page.getByRole('grid', { name: 'Experts of every layer' }).locator('tbody tr').first();
    const words = await row.locator('td').allTextContents();
    expect(words[0]).toMatch(/^pruned \d/);
    expect(words[1]).toMatch(/^kept \d/);
    expect(await view.page.locator('.warning-line').innerText()).toContain('2 experts in 1 layers');
  });

  test('are kept and pruned by keyboard, each explained', async () => {
    const view = await open();
    const grid = view.page.getByRole('grid', { name: 'Experts of every layer' });
    await grid.focus();
    await view.page.keyboard.press('ArrowRight');
    await view.page.keyboard.press('Space');
    expect(await editsOf(view)).toEqual([
      { kind: 'setKept', edit: 1, changes: [{ position: 0, keep: keep[0]!.filter((expert) => expert !== 1) }] },
    ]);
    expect(await view.page.locator('.expert-grid .readout').innerText()).toMatch(/^Layer 0, expert 1: pruned/);
    const panel = view.page.getByRole('complementary', { name: 'Explanation' });
    expect(await panel.innerText()).toMatch(/Pruned by reap[^]*tokens chose it[^]*24,576 tokens of calibration/);
    await view.page.keyboard.press('Enter');
    expect((await editsOf(view))[1]).toMatchObject({ changes: [{ position: 0, keep: keep[0] }] });
  });

  test('a rectangle is drawn with the pointer, or with Shift and the arrow keys, and pruned at once', async () => {
    const view = await open();
    const cursor = view.page.locator('.expert-grid .chart-cursor');
    const grid = view.page.getByRole('grid', { name: 'Experts of every layer' });
    await grid.focus();
    const first = (await cursor.boundingBox())!;
    await view.page.mouse.move(first.x + first.width * 2.5, first.y + first.height * 1.5);
    await view.page.mouse.down();
    await view.page.mouse.move(first.x + first.width * 4.5, first.y + first.height * 2.5, { steps: 3 });
    await view.page.mouse.up();
    await view.page.getByText('6 selected').waitFor();
    expect(await editsOf(view)).toEqual([]);
    await view.page.getByRole('button', { name: 'Prune selected' }).click();
    const [edit] = await editsOf(view);
    expect(edit).toMatchObject({
      kind: 'setKept',
      changes: [1, 2].map((position) => ({
        position,
        keep: keep[position]!.filter((expert) => ![2, 3, 4].includes(expert)),
      })),
    });
    await grid.focus();
    await view.page.keyboard.press('Escape');
    await view.page.keyboard.press('Shift+ArrowDown');
    await view.page.keyboard.press('Shift+ArrowRight');
    await view.page.getByText('4 selected').waitFor();
  });

  test('a click keeps or prunes the expert under it', async () => {
    const view = await open();
    await view.page.getByRole('grid', { name: 'Experts of every layer' }).focus();
    const first = (await view.page.locator('.expert-grid .chart-cursor').boundingBox())!;
    await view.page.mouse.click(first.x + first.width / 2, first.y + first.height / 2);
    expect(await editsOf(view)).toMatchObject([{ changes: [{ position: 0, keep: [0, ...keep[0]!] }] }]);
  });

  test('go by share and by use, as many as may', async () => {
    const view = await open();
    await view.page.getByRole('spinbutton', { name: /Share of the experts/ }).fill('50');
    await view.page.getByRole('button', { name: 'Prune this share' }).click();
    const [edit] = await editsOf(view);
    const changes = edit?.kind === 'setKept' ? edit.changes : [];
    expect(changes.map((change) => change.keep.length)).toEqual(keep.map(() => 16));
    const counts = known.expertUse!.counts[0]!;
    const left = changes[0]!.keep;
    const gone = counts.filter((_, expert) => !left.includes(expert));
    expect(Math.min(...left.map((expert) => counts[expert]!))).toBeGreaterThanOrEqual(Math.max(...gone));
  });

  test('merged groups are shown and not taken apart', async () => {
    const groups = keep.map((kept) => [kept.slice(0, 3), ...kept.slice(3).map((expert) => [expert])]);
    const merged = { ...plan, merge: { method: 'hc-smoe', groups, seed: 0 } };
    const view = await editor.open([documentOf(merged), measurements, idle]);
    await view.page.getByRole('grid', { name: 'Experts of every layer' }).focus();
    await view.page.keyboard.press('ArrowRight');
    expect(await view.page.locator('.expert-grid .readout').innerText()).toContain('kept, merged with 2, 3');
    await view.page.keyboard.press('ArrowRight');
    expect(await view.page.locator('.expert-grid .readout').innerText()).toContain('merged into expert 1');
    await view.page.keyboard.press('Space');
    expect(await editsOf(view)).toEqual([]);
    await view.page.getByText(/The merged groups list every expert that stays/).waitFor();
  });
});

describe('the bits', () => {
  test('are set by keys and buttons, with the arithmetic of what they take', async () => {
    const view = await open();
    const grid = view.page.getByRole('grid', { name: 'Bits of every layer and projection' });
    await grid.focus();
    await view.page.keyboard.press('ArrowDown');
    const panel = view.page.getByRole('complementary', { name: 'Explanation' });
    expect(await panel.innerText()).toContain('3 (codes) + 16/32 (scales) + 3/32 (zero points) = 3.594 bits a weight.');
    await view.page.keyboard.press('8');
    await view.page.keyboard.press('ArrowRight');
    await view.page.getByRole('button', { name: '2', exact: true }).click();
    expect(await editsOf(view)).toEqual([
      { kind: 'setBits', edit: 1, changes: [{ position: 1, projection: 'gate', bits: 8 }] },
      { kind: 'setBits', edit: 2, changes: [{ position: 1, projection: 'up', bits: 2 }] },
    ]);
    expect(await view.page.locator('.section-quantization .readout').innerText()).toBe('Layer 1, up: 2 bits');
  });

  test('that differ between experts show their mean and range', async () => {
    const view = await open({ state: { collapsed: ['budgets'], tables: ['quantization'] } });
    const grid = view.page.getByRole('grid', { name: 'Bits of every layer and projection' });
    expect(await grid.locator('tbody tr').nth(2).locator('td').allTextContents()).toEqual(['3', '3', '3.00 (2–4)']);
  });
});
