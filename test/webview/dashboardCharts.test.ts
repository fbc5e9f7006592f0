import { describe, expect, test } from 'vitest';
import { dashboardHarness } from '../support/dashboardHarness';
import {
  budget,
  evaluations,
  measuredRuns,
  outputChange,
  searchedBudget,
  shownNumber,
  snapshots,
} from '../support/webviewSnapshots';

const dashboard = dashboardHarness();

describe('the quality and cost front', () => {
  async function openFront(snapshot = snapshots.measured) {
    const view = await dashboard.open(snapshot);
    const grid = view.page.getByRole('grid', { name: 'Best allocation for each cost' });
    const readout = view.page.locator('.section-front .readout');
    return { view, page: view.page, grid, readout };
  }

  test('the table has a row for each point, with what was measured at its cost', async () => {
    const { grid } = await openFront();
    expect(await grid.locator('tbody tr').count()).toBe(budget.front.length);
    const row = grid.locator('tbody tr', { has: grid.page().locator('th', { hasText: /^5\.00$/ }) });
    const change = evaluations[1]!.geometricMeanPerplexity! / evaluations[1]!.baselineGeometricMeanPerplexity! - 1;
    expect(await row.locator('td').allTextContents()).toEqual([
      '60',
      shownNumber(budget.predicted!),
      `+${(change * 100).toFixed(1)} %`,
    ]);
    expect(await row.getAttribute('aria-selected')).toBe('true');
  });

  test('the cursor starts at the plan; arrows walk, Enter takes the point', async () => {
    const { view, page, grid, readout } = await openFront();
    expect(await readout.innerText()).toMatch(/^5\.00 active on average \(60 in total\).*\(plan\)$/);
    await grid.focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowRight');
    expect(await readout.innerText()).toContain('(59 in total)');
    await page.keyboard.press('Enter');
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Home');
    await page.keyboard.press('Space');
    expect((await view.messages()).slice(1)).toEqual([
      { kind: 'pickBudget', total: 59 },
      { kind: 'pickBudget', total: 96 },
      { kind: 'pickBudget', total: 12 },
    ]);
    expect(await view.state()).toMatchObject({ frontTotal: 12 });
  });

  test('a click takes the point under it; a click beside the line takes none', async () => {
    const { view, page, readout } = await openFront();
    const canvas = (await page.locator('.front canvas').boundingBox())!;
    await page.mouse.click(canvas.x + canvas.width * 0.75, canvas.y + 12);
    expect(await view.messages()).toHaveLength(1);
    const cursor = page.locator('.front .chart-cursor');
    await page.keyboard.press('Home');
    const mark = (await cursor.boundingBox())!;
    await page.keyboard.press('End');
    await page.mouse.click(mark.x + mark.width / 2, mark.y + mark.height / 2);
    expect((await view.messages()).slice(1)).toEqual([{ kind: 'pickBudget', total: 12 }]);
    expect(await readout.innerText()).toContain('(12 in total)');
  });

  test('the sentence of the image names ends, plan and number of measurements', async () => {
    const { page } = await openFront();
    const first = shownNumber(outputChange.reduce((sum, row) => sum + row[0]!, 0));
    expect(await page.locator('.front canvas').getAttribute('aria-label')).toBe(
      `Line chart of the predicted loss for 85 costs: ${first} at 1.00 active experts on average, 0 at 8.00. The plan takes 5.00. 2 measured points.`,
    );
  });

  test('an objective that predicts nothing still shows costs and measurements', async () => {
    const blind = {
      ...budget,
      objective: 'random' as const,
      predicted: null,
      uniformPredicted: null,
      front: budget.front.map((point) => ({ ...point, predicted: null })),
    };
    const { page, grid, readout, view } = await openFront({ ...snapshots.measured, budget: blind });
    expect(await page.locator('.front canvas').getAttribute('aria-label')).toContain('predicts no loss');
    expect(await readout.innerText()).toContain('predicted –');
    await grid.focus();
    await page.keyboard.press('Enter');
    expect((await view.messages()).slice(1)).toEqual([{ kind: 'pickBudget', total: 60 }]);
    expect((await view.canvas('.front canvas')).painted).toBeGreaterThan(0.01);
  });
});

describe('what a search measured', () => {
  test('the front names measured divergences in table, readout and sentence, and its own axis', async () => {
    const { page } = await dashboard.open(snapshots.searched);
    const grid = page.getByRole('grid', { name: 'Best allocation for each cost' });
    expect(await grid.locator('thead th').allTextContents()).toEqual([
      'Average',
      'Total',
      'Predicted KL',
      'Measured KL',
      'Measured',
    ]);
    const measured = await grid.locator('tbody td:nth-of-type(3)').allTextContents();
    expect(measured.filter((cell) => cell !== '–')).toEqual(
      [...measuredRuns, searchedBudget]
        .sort((one, other) => one.total - other.total)
        .map((run) => shownNumber(run.measured!.kl)),
    );
    const kl = shownNumber(searchedBudget.measured!.kl);
    expect(await page.locator('.section-front .readout').innerText()).toContain(`measured KL ${kl} (plan)`);
    expect(await page.locator('.front canvas').getAttribute('aria-label')).toMatch(/ 11 measured divergences\.$/);
    expect(await page.locator('.section-front .legend-entry').allInnerTexts()).toEqual([
      'predicted',
      'plan',
      'taken, measured KL',
      'other candidates',
      'controls',
      'evaluation (right axis)',
    ]);
  });

  test('a click on a measured divergence takes the point of its cost', async () => {
    const high = { ...measuredRuns[1]!, measured: { ...measuredRuns[1]!.measured!, kl: 0.1 } };
    const view = await dashboard.open({ ...snapshots.searched, measuredBudgets: [high] });
    const { page } = view;
    const grid = page.getByRole('grid', { name: 'Best allocation for each cost' });
    const cursor = page.locator('.front .chart-cursor');
    const placeAt = async (keys: string[]): Promise<{ x: number; y: number }> => {
      await grid.focus();
      for (const key of keys) {
        await page.keyboard.press(key);
      }
      const box = (await cursor.boundingBox())!;
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    };
    // The axis is linear: two points of the front tell where the divergence of 0.1 nats is drawn.
    const least = await placeAt(['End']);
    const most = await placeAt(['Home']);
    const column = await placeAt(['Home', 'PageDown', 'PageDown', 'PageDown']);
    const top = searchedBudget.front[0]!.predicted!;
    const y = least.y + (most.y - least.y) * (0.1 / top);
    expect(Math.abs(y - column.y)).toBeGreaterThan(14);
    await page.mouse.click(column.x, y);
    expect((await view.messages()).slice(1)).toEqual([{ kind: 'pickBudget', total: 36 }]);
  });

  test('the candidates stand in a table: what was taken first, controls marked', async () => {
    const { page } = await dashboard.open(snapshots.searched);
    const table = page.getByRole('table', { name: 'Candidates at 5.00 active experts on average' });
    expect(await table.locator('thead th').allInnerTexts()).toEqual([
      'Candidate',
      'Predicted KL',
      'Measured KL',
      'Perplexity',
    ]);
    const [best] = searchedBudget.candidates!;
    expect(await table.locator('tbody tr').first().locator('th, td').allInnerTexts()).toEqual([
      'search taken',
      best!.predicted!.toPrecision(4),
      best!.measured!.kl.toPrecision(4),
      Math.exp(best!.measured!.logPerplexity).toPrecision(5),
    ]);
    expect(await table.locator('tr.control th').allInnerTexts()).toEqual([
      'uniform control',
      'random 1 control',
      'random 2 control',
    ]);
    const words = await page.locator('.evidence').innerText();
    expect(words).toMatch(/“search” was taken: .* below uniform/);
    expect(words).toContain('Rank correlation of predicted and measured KL: 0.93.');
  });

  test('where the table is too narrow the keyboard scrolls it', async () => {
    const { page } = await dashboard.open(snapshots.searched, { width: 180 });
    const area = page.getByRole('region', { name: 'Candidates at 5.00 active experts on average' });
    await area.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => area.evaluate('document.activeElement.scrollLeft')).toBeGreaterThan(0);
  });

  test('notes of the engine are shown, and no table where nothing was measured', async () => {
    const notes = ['No calibration text was given, so nothing was measured on the whole model.'];
    const { page } = await dashboard.open({ ...snapshots.measured, budget: { ...budget, objective: 'auto', notes } });
    expect(await page.locator('.section-budget').innerText()).toContain(`Note: ${notes[0]!}`);
    expect(await page.locator('.evidence-table').count()).toBe(0);
  });
});

describe('the budget per layer', () => {
  test('table and sentence have the numbers of the plan', async () => {
    const { page } = await dashboard.open(snapshots.measured);
    const grid = page.getByRole('grid', { name: 'Chosen active experts per layer' });
    const chosen = await grid.locator('tbody td:nth-of-type(1)').allTextContents();
    expect(chosen.map(Number)).toEqual(budget.activeExperts);
    const change = await grid.locator('tbody td:nth-of-type(3)').allTextContents();
    const expected = budget.activeExperts.map((k, layer) => shownNumber(outputChange[layer]![k - 1]!));
    expect(change).toEqual(expected);
    expect(await page.locator('.layer-bars canvas').getAttribute('aria-label')).toMatch(
      /^Bar chart of the active experts chosen for 12 layers: from 1 in layer 0 to 8 in layer \d+, 60 in total, 5\.00 on average\.$/,
    );
  });

  test('arrows walk the layers', async () => {
    const { page } = await dashboard.open(snapshots.measured);
    await page.getByRole('grid', { name: 'Chosen active experts per layer' }).focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('.section-budget .readout').innerText()).toBe(
      `Layer 1: ${budget.activeExperts[1]} of 8 active`,
    );
  });
});

describe('the evaluation', () => {
  test('the newest run of a plan stands against the baseline, with differences', async () => {
    const { page } = await dashboard.open(snapshots.measured);
    const tables = page.locator('.section-evaluation .evaluation-table');
    expect(await tables.locator('caption').allInnerTexts()).toEqual([
      'Perplexity',
      'Agreement with the baseline',
      'Task accuracy',
    ]);
    expect(await tables.nth(0).locator('tr').nth(1).locator('th, td').allInnerTexts()).toEqual([
      'prose',
      '12.96',
      '13.14',
      '+1.4%',
    ]);
    expect(await tables.nth(2).locator('tbody tr').allInnerTexts()).toEqual([
      'copy\t98.1%\t98.1%\t0.0',
      'reverse\t95.7%\t94.2%\t-1.5',
      'addition\t86.1%\t87.3%\t+1.2',
      'Mean\t93.3%\t93.2%\t-0.1',
    ]);
    expect(await tables.nth(2).locator('.trend-worse').count()).toBe(2);
    expect(await tables.nth(2).locator('.trend-better').count()).toBe(1);
  });

  test('an older run can be chosen and stays chosen', async () => {
    const view = await dashboard.open(snapshots.measured);
    const chooser = view.page.getByRole('combobox', { name: 'Run' });
    await chooser.focus();
    await view.page.keyboard.press('ArrowDown');
    const first = view.page.locator('.evaluation-table').first();
    expect(await first.locator('tr').nth(1).innerText()).toContain('13.84');
    expect(await view.state()).toMatchObject({ evaluation: evaluations[0]!.finished });
    await view.post({ ...snapshots.measured, engine: { state: 'busy' } });
    expect(await first.locator('tr').nth(1).innerText()).toContain('13.84');
  });

  test('a baseline alone is not compared with itself', async () => {
    const baseline = { ...evaluations[0]!, baseline: true };
    const { page } = await dashboard.open({ ...snapshots.measured, evaluations: [baseline] });
    expect(await page.locator('.evaluation-table').first().locator('thead th').allInnerTexts()).toEqual([
      'Dataset',
      'Baseline',
    ]);
    expect(await page.locator('.trend-worse, .trend-better').count()).toBe(0);
  });
});

describe('sections', () => {
  test('they collapse by keyboard, and stay so', async () => {
    const view = await dashboard.open(snapshots.measured);
    const heading = view.page.getByRole('button', { name: 'Evaluation', exact: true });
    await heading.focus();
    await view.page.keyboard.press('Enter');
    expect(await heading.getAttribute('aria-expanded')).toBe('false');
    expect(await view.page.locator('.section-evaluation .evaluation-tables').isVisible()).toBe(false);
    expect(await view.state()).toMatchObject({ collapsed: ['evaluation'] });
  });

  test('a chart in a section that was collapsed is drawn when it opens', async () => {
    const view = await dashboard.open(snapshots.measured, { state: { collapsed: ['sensitivity'] } });
    await view.page.getByRole('button', { name: 'Sensitivity', exact: true }).click();
    await expect.poll(() => view.canvas('.heat-map canvas')).toMatchObject({ painted: expect.closeTo(0.75, 0.2) });
  });
});
