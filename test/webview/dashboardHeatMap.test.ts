import { describe, expect, test } from 'vitest';
import { dashboardHarness } from '../support/dashboardHarness';
import type { PageElement } from '../support/webviewBrowser';
import { budget, outputChange, profile, shownNumber, snapshots } from '../support/webviewSnapshots';

const dashboard = dashboardHarness();
const gridName = 'Output change by layer and number of active experts';

const hasFocus = (element: PageElement): boolean => element.ownerDocument.activeElement === element;

async function openHeatMap(state?: object) {
  const view = await dashboard.open(snapshots.measured, state === undefined ? {} : { state });
  const grid = view.page.getByRole('grid', { name: gridName });
  const readout = view.page.locator('.section-sensitivity .readout');
  const activeText = (): Promise<string> =>
    grid.evaluate(
      (element: PageElement) =>
        element.ownerDocument.getElementById(element.getAttribute('aria-activedescendant'))?.textContent ?? '',
    );
  return { view, page: view.page, grid, readout, activeText };
}

describe('the text twin', () => {
  test('holds every number of the profile in a real table', async () => {
    const { grid } = await openHeatMap();
    expect(await grid.getAttribute('aria-rowcount')).toBe('13');
    expect(await grid.getAttribute('aria-colcount')).toBe('9');
    const cells = await grid.locator('td').allTextContents();
    expect(cells).toHaveLength(12 * 8);
    expect(cells).toEqual(outputChange.flat().map(shownNumber));
    expect(await grid.locator('tbody th').allTextContents()).toEqual(profile.layers.map(({ index }) => String(index)));
  });

  test('marks the chosen budget as selected cells', async () => {
    const { grid } = await openHeatMap();
    const selected = await grid
      .locator('td[aria-selected="true"]')
      .evaluateAll((cells: PageElement[]) => cells.map((cell) => Number(cell.dataset['column']) + 1));
    expect(selected).toEqual(budget.activeExperts);
  });

  test('the canvas is an image that says range, mean and extreme', async () => {
    const { page } = await openHeatMap();
    const values = outputChange.flat();
    const mean = shownNumber(values.reduce((sum, value) => sum + value, 0) / values.length);
    expect(await page.locator('.heat-map canvas').getAttribute('role')).toBe('img');
    expect(await page.locator('.heat-map canvas').getAttribute('aria-label')).toBe(
      `Heat map of 12 layers by 8 numbers of active experts: values from 0 to 1.05, mean ${mean}; largest in layer 11 with 1 active.`,
    );
  });

  test('the button shows and hides the table, and the choice outlives the page', async () => {
    const { view, page } = await openHeatMap();
    const toggle = page.getByRole('button', { name: 'Show numbers as a table: Sensitivity' });
    const table = page.locator('.heat-map .grid-twin');
    expect(await toggle.getAttribute('aria-pressed')).toBe('false');
    expect((await table.boundingBox())?.height).toBeLessThan(5);
    await toggle.click();
    expect((await table.boundingBox())?.height).toBeGreaterThan(200);
    expect(await view.state()).toMatchObject({ tables: ['sensitivity'] });
    const second = await openHeatMap({ tables: ['sensitivity'] });
    expect((await second.page.locator('.heat-map .grid-twin').boundingBox())?.height).toBeGreaterThan(200);
  });
});

describe('the keyboard', () => {
  test('one tab stop leads into the grid and the next one out of it', async () => {
    const { page, grid } = await openHeatMap();
    await page.locator('.section-sensitivity moe-dropdown').focus();
    await page.keyboard.press('Tab');
    expect(await grid.evaluate(hasFocus)).toBe(true);
    await page.keyboard.press('Tab');
    expect(await grid.evaluate((element: PageElement) => element.contains(element.ownerDocument.activeElement))).toBe(
      false,
    );
  });

  test('arrows, Home, End and Page walk the cells, spoken and kept', async () => {
    const { view, page, grid, readout, activeText } = await openHeatMap();
    await grid.focus();
    const walk: readonly (readonly [string, number, number])[] = [
      ['ArrowDown', 1, 1],
      ['ArrowDown', 2, 1],
      ['ArrowRight', 2, 2],
      ['End', 2, 8],
      ['ArrowRight', 2, 8],
      ['Home', 2, 1],
      ['PageDown', 10, 1],
      ['PageDown', 11, 1],
      ['Control+Home', 0, 1],
      ['ArrowUp', 0, 1],
      ['Control+End', 11, 8],
      ['PageUp', 3, 8],
      ['ArrowLeft', 3, 7],
    ];
    for (const [key, layer, k] of walk) {
      await page.keyboard.press(key);
      const value = outputChange[layer]![k - 1]!;
      const shown = shownNumber(value);
      const chosen = budget.activeExperts[layer] === k ? ' (chosen)' : '';
      expect([key, await readout.innerText()]).toEqual([key, `Layer ${layer}, ${k} active: ${shown}${chosen}`]);
      expect(await activeText()).toBe(shown);
    }
    expect(await readout.getAttribute('aria-live')).toBe('polite');
    expect(await view.state()).toMatchObject({ cell: { row: 3, column: 6 } });
  });

  test('the cursor is drawn over its cell, and only while the chart has the focus', async () => {
    const { page, grid } = await openHeatMap();
    const cursor = page.locator('.heat-map .chart-cursor');
    expect(await cursor.isVisible()).toBe(false);
    await grid.focus();
    await page.keyboard.press('Control+End');
    expect(await cursor.isVisible()).toBe(true);
    const box = (await cursor.boundingBox())!;
    const plot = (await page.locator('.heat-map canvas').boundingBox())!;
    expect(box.x + box.width).toBeGreaterThan(plot.x + plot.width - 4);
    expect(box.x + box.width).toBeLessThanOrEqual(plot.x + plot.width + 1);
    expect(box.width).toBeGreaterThan(10);
  });

  test('the cursor is where an earlier life of the page left it', async () => {
    const { readout } = await openHeatMap({ cell: { row: 4, column: 2 } });
    expect(await readout.innerText()).toContain('Layer 4, 3 active');
  });

  test('a cursor beyond a smaller model is moved inside', async () => {
    const { readout } = await openHeatMap({ cell: { row: 99, column: 99 } });
    expect(await readout.innerText()).toContain('Layer 11, 8 active');
  });

  test('saved state of another shape is ignored', async () => {
    const { readout } = await openHeatMap({ cell: 'top', collapsed: 7 });
    expect(await readout.innerText()).toContain('Layer 0, 1 active');
  });
});

describe('the pointer', () => {
  test('hovering shows the cell under it in a tooltip and moves nothing', async () => {
    const { page, readout } = await openHeatMap();
    const before = await readout.innerText();
    const canvas = (await page.locator('.heat-map canvas').boundingBox())!;
    await page.mouse.move(canvas.x + canvas.width - 5, canvas.y + 14);
    const tooltip = page.locator('.heat-map .chart-tooltip');
    expect(await tooltip.innerText()).toBe('Layer 0, 8 active: 0');
    expect(await readout.innerText()).toBe(before);
    await page.mouse.move(canvas.x + 2, canvas.y + canvas.height - 2);
    expect(await tooltip.isVisible()).toBe(false);
  });

  test('a click puts the cursor there and gives the grid the focus', async () => {
    const { page, grid, readout } = await openHeatMap();
    const canvas = (await page.locator('.heat-map canvas').boundingBox())!;
    await page.mouse.click(canvas.x + canvas.width - 5, canvas.y + 14);
    expect(await readout.innerText()).toContain('Layer 0, 8 active');
    expect(await grid.evaluate(hasFocus)).toBe(true);
    await page.keyboard.press('Escape');
    expect(await page.locator('.heat-map .chart-tooltip').isVisible()).toBe(false);
  });
});

describe('new numbers', () => {
  test('the other measure repaints map, table and legend', async () => {
    const { view, page, grid } = await openHeatMap();
    await page.locator('.section-sensitivity moe-dropdown').focus();
    await page.keyboard.press('ArrowDown');
    const expected = shownNumber(profile.layers[11]!.relativeSquared[0]!);
    expect(await grid.locator('tr').last().locator('td').first().textContent()).toBe(expected);
    expect(await page.locator('.section-sensitivity .colour-labels span').last().innerText()).toBe(expected);
    expect(await view.state()).toMatchObject({ measure: 'relativeSquared' });
  });

  test('a snapshot with the same numbers leaves the cells alone, as screen readers would speak again', async () => {
    const { view, grid } = await openHeatMap();
    await grid
      .locator('td')
      .first()
      .evaluate((cell: PageElement) => {
        cell.textContent = 'touched';
      });
    await view.post({ ...snapshots.measured, engine: { state: 'busy' } });
    expect(await grid.locator('td').first().textContent()).toBe('touched');
    await view.post({ ...snapshots.measured, profile: { ...profile, seconds: 1 } });
    expect(await grid.locator('td').first().textContent()).toBe('0.434');
  });
});

test('a grid too large for the page keeps the cells around the cursor, and says which', async () => {
  const columns = 32;
  const value = (layer: number, k: number): number => 100 + layer + k / 100;
  const wide = {
    ...profile,
    activeExperts: columns,
    layers: Array.from({ length: 58 }, (_, index) => {
      const raw = Array.from({ length: columns }, (_entry, at) => value(index, at + 1));
      return { ...profile.layers[0]!, index, raw, relativeSquared: raw };
    }),
  };
  const { page, grid, readout, activeText, view } = await openHeatMap({ tables: ['sensitivity'] });
  await view.post({ ...snapshots.profiled, profile: wide });
  await grid.focus();
  for (const [key, layer, k] of [
    ['Control+End', 57, 32],
    ['PageUp', 49, 32],
    ['Home', 49, 1],
  ] as const) {
    await page.keyboard.press(key);
    expect(await readout.innerText()).toBe(`Layer ${layer}, ${k} active: ${shownNumber(value(layer, k))}`);
    expect(await activeText()).toBe(shownNumber(value(layer, k)));
    expect(await grid.locator('td').count()).toBeLessThan(400);
    const row = grid.locator('tr', { has: page.locator('.active') });
    expect(await row.getAttribute('aria-rowindex')).toBe(String(layer + 2));
  }
  expect(await grid.getAttribute('aria-rowcount')).toBe('59');
  expect(await page.locator('.heat-map .grid-twin .note').innerText()).toMatch(
    /^Rows 35–58 of 58, columns 1–12 of 32;/,
  );
});
