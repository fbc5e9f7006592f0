import { describe, expect, test } from 'vitest';
import { editsOf, planEditorHarness } from '../support/planEditorHarness';
import {
  documentOf,
  idle,
  measurements,
  mergedPlan,
  prunedPlan,
  routedPlan,
  samplePlan,
} from '../support/planEditorSamples';
import type { WebviewPage } from '../support/webviewBrowser';

const editor = planEditorHarness();
const { plan, measurements: known, scores } = prunedPlan();
const [reap, ean] = scores.map(({ rows }) => rows);
const keep = plan.prune!.keep;

async function open(part: Parameters<typeof editor.open>[1] = {}): Promise<WebviewPage> {
  return editor.open([documentOf(plan), known, ...scores, idle], {
    state: { collapsed: ['budgets'] },
    height: 1300,
    ...part,
  });
}

/** Lowest scores of a layer. */
function lowest(row: readonly number[], count: number): number[] {
  return row
    .map((score, expert) => ({ score, expert }))
    .sort((one, other) => one.score - other.score)
    .slice(0, count)
    .map(({ expert }) => expert);
}

describe('the experts', () => {
  test('are absent while the plan neither prunes nor merges and nothing is known of them', async () => {
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
    expect(await view.page.locator('.warning-line:visible').innerText()).toMatch(
      /2 experts saw too few tokens.*layers 4/,
    );
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
    expect(await panel.innerText()).toMatch(
      /as reap ranked them[^]*REAP\): 0\.\d+, place \d+ of 32[^]*tokens chose it[^]*24,576 tokens of calibration/,
    );
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

  test('go by share of the lowest scores, and the plan says by which', async () => {
    const view = await open();
    await view.page.getByRole('spinbutton', { name: /Share of the experts/ }).fill('50');
    await view.page.getByRole('button', { name: 'Prune this share' }).click();
    const [edit] = await editsOf(view);
    expect(edit).toMatchObject({ by: { method: 'reap', ratio: 0.5, calibrationTokens: 24576 } });
    const changes = edit?.kind === 'setKept' ? edit.changes : [];
    expect(changes.map((change) => change.keep.length)).toEqual(keep.map(() => 16));
    const gone = lowest(reap![0]!, 16);
    expect(changes[0]!.keep).toEqual([...Array(32).keys()].filter((expert) => !gone.includes(expert)));
  });

  test('are coloured, ranked and pruned by any score that is known', async () => {
    const view = await open({ state: { collapsed: ['budgets'], tables: ['experts'] } });
    const pixels = (): Promise<string> =>
      view.page.locator('.expert-grid canvas').evaluate((canvas: { toDataURL(): string }) => canvas.toDataURL());
    const before = await pixels();
    const choice = view.page.getByRole('combobox', { name: 'Colours show' });
    await choice.focus();
    await view.page.keyboard.press('ArrowDown');
    expect(await view.state()).toMatchObject({ score: 'ean' });
    expect((await pixels()) === before).toBe(false);
    const cell = view.page.getByRole('grid', { name: 'Experts of every layer' }).locator('tbody td').nth(1);
    expect(Number((await cell.textContent())!.replace('kept ', ''))).toBeCloseTo(ean![0]![1]!, 1);
    await view.page.getByRole('spinbutton', { name: /Score below which/ }).fill('6.5');
    const below = ean!.flat().filter((score) => score < 6.5).length;
    await view.page.getByText(`${below} experts are below`).waitFor();
    await view.page.getByRole('button', { name: 'Prune below' }).click();
    const [edit] = await editsOf(view);
    expect(edit).toMatchObject({ by: { method: 'ean', calibrationTokens: 24576 } });
    const changes = edit?.kind === 'setKept' ? edit.changes : [];
    for (const { position, keep: left } of changes) {
      const row = ean![position]!;
      expect(left).toEqual(row.flatMap((score, expert) => (score >= 6.5 ? [expert] : [])));
    }
    expect(changes.length).toBeGreaterThan(0);
  });

  test('can be pruned in a plan that has not pruned yet, as soon as something is known of them', async () => {
    const view = await editor.open([documentOf(samplePlan), known, ...scores, idle], {
      state: { collapsed: ['budgets'], score: 'use' },
    });
    await view.page.getByRole('spinbutton', { name: /Share of the experts/ }).fill('25');
    await view.page.keyboard.press('Enter');
    const [edit] = await editsOf(view);
    expect(edit).toMatchObject({ by: { method: 'frequency', ratio: 0.25, calibrationTokens: 16000 } });
    const gone = lowest(known.expertUse!.counts[3]!, 8);
    expect(edit?.kind === 'setKept' ? edit.changes[3]!.keep : []).toEqual(
      [...Array(32).keys()].filter((expert) => !gone.includes(expert)),
    );
    await view.page.getByText('288 of 384 experts in 12 layers are left').waitFor();
  });

  test('tell what a person changed from what the run chose', async () => {
    const prunedTo = keep.map((each, layer) => (layer === 0 ? [...each, 0].sort((one, other) => one - other) : each));
    const view = await editor.open([documentOf(plan), { ...known, prunedTo }, ...scores, idle], {
      state: { collapsed: ['budgets'] },
    });
    const panel = view.page.getByRole('complementary', { name: 'Explanation' });
    await view.page.getByRole('grid', { name: 'Experts of every layer' }).focus();
    await view.page.keyboard.press('ArrowRight');
    expect(await panel.innerText()).toContain('as reap ranked them');
    await view.page.keyboard.press('ArrowLeft');
    expect(await panel.innerText()).toContain('Changed by hand: the run by reap had kept it.');
  });

  test('are explained where the pointer is', async () => {
    const view = await open();
    const grid = view.page.getByRole('grid', { name: 'Experts of every layer' });
    await grid.focus();
    const first = (await view.page.locator('.expert-grid .chart-cursor').boundingBox())!;
    await view.page.mouse.move(first.x + first.width * 3.5, first.y + first.height * 2.5);
    const panel = view.page.getByRole('complementary', { name: 'Explanation' });
    expect(await panel.innerText()).toContain('Layer 2, expert 3');
  });

  test('that become one have the number of their group, and are not taken apart', async () => {
    const view = await editor.open([documentOf(mergedPlan()), known, idle], {
      state: { collapsed: ['budgets'], tables: ['experts'] },
    });
    const grid = view.page.getByRole('grid', { name: 'Experts of every layer' });
    const words = await grid.locator('tbody tr').first().locator('td').allTextContents();
    expect([0, 5, 9, 30, 6].map((expert) => words[expert]!.replace(/ [\d.]+%$/, ''))).toEqual([
      'kept (group 1)',
      'merged (group 1)',
      'merged (group 1)',
      'merged (group 2)',
      'kept',
    ]);
    await grid.focus();
    const pixels = (): Promise<string> =>
      view.page.locator('.expert-grid canvas').evaluate((canvas: { toDataURL(): string }) => canvas.toDataURL());
    const readout = view.page.locator('.expert-grid .readout');
    expect(await readout.innerText()).toContain('kept, merged with 5, 9');
    for (let step = 0; step < 6; step += 1) {
      await view.page.keyboard.press('ArrowRight');
    }
    const outside = await pixels();
    await view.page.keyboard.press('ArrowLeft');
    expect(await readout.innerText()).toContain('merged into expert 0');
    // The members are outlined while the cursor is on one of them.
    expect((await pixels()) === outside).toBe(false);
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
    await view.page.getByRole('group', { name: 'Bits of the chosen cells' }).getByText('2', { exact: true }).click();
    expect(await editsOf(view)).toEqual([
      { kind: 'setBits', edit: 1, changes: [{ position: 1, projection: 'gate', bits: 8 }] },
      { kind: 'setBits', edit: 2, changes: [{ position: 1, projection: 'up', bits: 2 }] },
    ]);
    expect(await view.page.locator('.section-quantization .readout').innerText()).toBe(
      'Layer 1, up: 2 bits, 2.563 with its part of the scales',
    );
  });

  test('that differ between experts show their mean and range', async () => {
    const view = await open({ state: { collapsed: ['budgets'], tables: ['quantization'] } });
    const grid = view.page.getByRole('grid', { name: 'Bits of every layer and projection' });
    expect(await grid.locator('tbody tr').nth(2).locator('td').allTextContents()).toEqual(['3', '3', '3.00 (2–4)']);
  });

  test('of a selection are set at once, and those of all layers by a preset', async () => {
    const view = await open({ state: { collapsed: ['budgets', 'experts'] } });
    await view.page.getByRole('grid', { name: 'Bits of every layer and projection' }).focus();
    await view.page.keyboard.press('Shift+ArrowRight');
    await view.page.getByText('2 selected').waitFor();
    await view.page.keyboard.press('8');
    await view.page.keyboard.press('Escape');
    await view.page.getByText('3, down 4').click();
    const [selected, preset] = await editsOf(view);
    expect(selected).toMatchObject({
      changes: ['gate', 'up'].map((projection) => ({ position: 0, projection, bits: 8 })),
    });
    const facts = view.page.locator('.section-quantization .total-value');
    expect(await facts.allTextContents()).toEqual(['3.33', '3.938']);
    const changed = [0, 0, 2, 3, 3, 4, 6, 6, 8, 9, 9, 10];
    expect(preset?.kind === 'setBits' ? preset.changes.map(({ position }) => position) : []).toEqual(changed);
    await view.page.locator('.section-quantization .total').nth(1).focus();
    expect(await view.page.getByRole('complementary', { name: 'Explanation' }).innerText()).toMatch(
      /66\.7% × 3\.594 \+ 33\.3% × 4\.625 = 3\.938 bits/,
    );
  });

  test('of single experts stand under their numbers in the checkpoint, and change one by one', async () => {
    const view = await open({
      state: { collapsed: ['budgets', 'experts'], bitsShown: 'down', tables: ['quantization'] },
    });
    const grid = view.page.getByRole('grid', { name: 'Bits of every layer and projection' });
    const words = await grid.locator('tbody tr').nth(2).locator('td').allTextContents();
    expect(words).toEqual(
      [...Array(32).keys()].map((expert) => (keep[2]!.includes(expert) ? (expert % 2 === 0 ? '2' : '4') : '–')),
    );
    await grid.focus();
    await view.page.keyboard.press('ArrowDown');
    await view.page.keyboard.press('ArrowDown');
    const readout = view.page.locator('.section-quantization .readout');
    expect(await readout.innerText()).toMatch(/^Layer 2, down of expert 0: 2 bits/);
    await view.page.keyboard.press('8');
    const [edit] = await editsOf(view);
    expect(edit).toMatchObject({
      changes: [{ position: 2, projection: 'down', bits: keep[2]!.map((id) => (id === 0 ? 8 : id % 2 === 0 ? 2 : 4)) }],
    });
  });
});

describe('the routing policy', () => {
  const routed = routedPlan();

  test('is absent where a plan has none and none is known', async () => {
    const view = await editor.open([documentOf(samplePlan), measurements, idle]);
    expect(await view.page.locator('.section-routing').isVisible()).toBe(false);
  });

  test('shows what every layer does, explained, and is switched off and on', async () => {
    const view = await editor.open([documentOf(routed.plan), routed.measurements, idle], {
      state: { collapsed: ['budgets'] },
    });
    const grid = view.page.getByRole('grid', { name: 'What every layer does with its gates' });
    expect(await grid.locator('tbody tr').first().locator('td').allTextContents()).toEqual(['3', '8', '1.2500']);
    await grid.focus();
    await view.page.keyboard.press('ArrowDown');
    expect(await view.page.getByRole('complementary', { name: 'Explanation' }).innerText()).toMatch(
      /Gates of layer 1[^]*makes up for what fewer experts miss[^]*multiplied by 1\.200000[^]*8,192 tokens/,
    );
    await view.page.getByRole('radio', { name: 'Measured factor' }).focus();
    await view.page.keyboard.press('ArrowUp');
    expect(await grid.locator('tbody tr').first().locator('td').allTextContents()).toEqual(['3', '8', '8']);
    await view.page.keyboard.press('ArrowUp');
    expect(await grid.isVisible()).toBe(false);
    await view.page.getByText('Measured factor', { exact: true }).click();
    expect(await editsOf(view)).toEqual([
      { kind: 'setGates', edit: 1, gates: { reference: routed.scale.map(() => 8), seed: 0 } },
      { kind: 'setGates', edit: 2 },
      { kind: 'setGates', edit: 3, gates: { scale: routed.scale, calibrationTokens: 8192, seed: 0 } },
    ]);
  });

  test('warns where factors belong to other numbers than the plan has', async () => {
    const changed = { ...routed.plan, activeExperts: routed.plan.activeExperts!.map(() => 7) };
    const view = await editor.open([documentOf(changed), routed.measurements, idle]);
    await view.page
      .locator('.section-routing')
      .getByText(/measured for other active experts/)
      .first()
      .waitFor();
  });
});

describe('what a plan does not decide yet', () => {
  test('is one press away', async () => {
    const view = await editor.open([documentOf(samplePlan), measurements, idle]);
    for (const name of ['Prune experts…', 'Merge experts…', 'Quantize…', 'Calibrate on text…']) {
      await view.page.getByText(name).click();
    }
    const asked = (await view.messages()).slice(1);
    expect(asked).toEqual(['prune', 'merge', 'quantize', 'calibrate'].map((action) => ({ kind: 'action', action })));
    await view.post(documentOf(plan));
    expect(await view.page.getByText('Quantize…').isVisible()).toBe(false);
    expect(await view.page.getByText('Merge experts…').isVisible()).toBe(true);
  });
});
