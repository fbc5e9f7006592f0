import { expect, test } from 'vitest';
import { calibration } from '../support/calibrationSnapshot';
import { dashboardHarness } from '../support/dashboardHarness';
import { shownNumber, snapshots } from '../support/webviewSnapshots';

const dashboard = dashboardHarness();
const measured = { ...snapshots.measured, calibration };

test('without a calibration the section says what fills it', async () => {
  const { page } = await dashboard.open(snapshots.measured);
  expect(await page.locator('.section-utilisation .empty').innerText()).toContain('Calibrate records');
});

test('loads are relative to an even share; rarely seen experts are named', async () => {
  const { page } = await dashboard.open(measured);
  const grid = page.getByRole('grid', { name: 'Tokens of each expert relative to an even share' });
  await grid.focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  const { counts } = calibration.layers[1]!;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const load = shownNumber((counts[1]! * counts.length) / total);
  const readout = page.locator('.section-utilisation .readout');
  expect(await readout.innerText()).toBe(`Layer 1, expert 1: ${counts[1]} tokens, ${load} times an even share`);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  expect(await readout.innerText()).toContain('expert 31: 0 tokens, 0 times an even share (too few to judge it)');
  expect(await page.locator('.section-utilisation').innerText()).toContain('1 of 384 experts saw fewer than 0.5 %');
});

test('a layer shows which experts go together, as the share of either one’s tokens', async () => {
  const view = await dashboard.open(measured, { state: { utilisation: '2' } });
  const grid = view.page.getByRole('grid', { name: 'Share of the tokens of one expert that also chose another' });
  await grid.focus();
  await view.page.keyboard.press('ArrowRight');
  const readout = view.page.locator('.section-utilisation .readout');
  const { counts } = calibration.layers[2]!;
  const share = (expert: number) => shownNumber(50 / counts[expert]!);
  expect(await readout.innerText()).toBe(`Expert 0: ${share(0)} of its tokens also chose expert 1`);
  await view.page.keyboard.press('ArrowLeft');
  await view.page.keyboard.press('ArrowDown');
  expect(await readout.innerText()).toBe(`Expert 1: ${share(1)} of its tokens also chose expert 0`);
  await view.page.keyboard.press('ArrowDown');
  expect(await readout.innerText()).toContain('never together');
});

test('94 layers of 512 experts: every cell is reached by keys, read out, and found under the pointer', async () => {
  const [layers, experts] = [94, 512];
  const count = (layer: number, expert: number): number => 100 + ((layer * 7 + expert * 3) % 50);
  const wide = {
    ...calibration,
    layers: Array.from({ length: layers }, (_, index) => ({
      ...calibration.layers[0]!,
      index,
      experts,
      counts: Array.from({ length: experts }, (_entry, expert) => count(index, expert)),
      coactivation: [],
    })),
  };
  const { page } = await dashboard.open({ ...snapshots.profiled, calibration: wide }, { width: 1200, height: 1000 });
  const grid = page.getByRole('grid', { name: 'Tokens of each expert relative to an even share' });
  const readout = page.locator('.section-utilisation .readout');
  await grid.focus();
  await page.keyboard.press('Control+End');
  expect(await readout.innerText()).toContain(`Layer 93, expert 511: ${count(93, 511)} tokens`);
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Home');
  expect(await readout.innerText()).toContain(`Layer 92, expert 0: ${count(92, 0)} tokens`);
  expect(await grid.getAttribute('aria-colcount')).toBe(String(experts + 1));
  // The page holds the cells around the cursor, not all 48 128.
  expect(await grid.locator('td').count()).toBeLessThan(1500);
  const canvas = (await page.locator('.section-utilisation canvas').boundingBox())!;
  const tooltip = page.locator('.section-utilisation .chart-tooltip');
  const shown: string[] = [];
  for (const x of [0.5, 0.5 + 4 / canvas.width]) {
    await page.mouse.move(canvas.x + canvas.width * x, canvas.y + canvas.height / 2);
    shown.push(await tooltip.innerText());
  }
  const [first, second] = shown.map((text) => Number(/expert (\d+):/.exec(text)?.[1]));
  expect(second! - first!).toBeGreaterThan(0);
  expect(second! - first!).toBeLessThan(16);
});
