import { expect, test } from 'vitest';
import { planPointsOf, sameSizeSentences } from '../../webviews/dashboard/planFrontModel';
import { dashboardHarness } from '../support/dashboardHarness';
import { planRun as run, planRuns as runs, sampleExpertBytes as original } from '../support/planRuns';
import { evaluations, snapshots } from '../support/webviewSnapshots';

const dashboard = dashboardHarness();
test('the newest run of every plan is a point; those that nothing beats come first, with the model itself', () => {
  const points = planPointsOf([...evaluations, ...runs]);
  expect(points.map(({ change, onFront }) => [change.toFixed(1), onFront])).toEqual([
    ['5.0', true],
    ['0.0', true],
    ['12.0', false],
    ['20.0', false],
  ]);
  expect(points[0]!.bytes).toBe(original / 4);
  expect(points[1]!.bytes).toBe(original);
});

test('runs that leave the weights alone make no point, and only they stand on the front of active experts', async () => {
  expect(planPointsOf(evaluations)).toEqual([]);
  const view = await dashboard.open({ ...snapshots.measured, evaluations: [...runs] });
  const grid = view.page.getByRole('grid', { name: 'Best allocation for each cost' });
  expect(await grid.locator('td', { hasText: '%' }).count()).toBe(0);
});

test('the chart says what it shows, by row and as a whole', async () => {
  const { page } = await dashboard.open({ ...snapshots.measured, evaluations: [...evaluations, ...runs] });
  const grid = page.getByRole('grid', { name: 'Measured plans by the bytes of their experts' });
  await grid.focus();
  await page.keyboard.press('Home');
  const readout = page.locator('.section-plans .readout');
  expect(await readout.innerText()).toMatch(
    /^rounded.* \(quantized\): 11\.8 MB of experts, perplexity \+5\.00 %, on the front$/,
  );
  await page.keyboard.press('End');
  expect(await readout.innerText()).toMatch(/^merged.* \(merged\): 35\.4 MB of experts, perplexity \+20\.00 %$/);
  const canvas = page.locator('.section-plans canvas');
  expect(await canvas.getAttribute('aria-label')).toBe(
    'Chart of 4 measured plans, 2 of them on the front of size and perplexity.',
  );
});

test('the same bytes in two ways: the better one first, and nothing where sizes differ', () => {
  const points = planPointsOf([
    ...runs,
    run('light', ['quantize'], 0.7, 0.01, 5),
    run('both', ['prune', 'merge'], 0.7, 0, 6),
  ]);
  expect(sameSizeSentences(points)).toEqual([
    'About the same bytes: pruned (pruned), 35.4 MB, perplexity +12.00 %; merged (merged), 35.4 MB, perplexity +20.00 %.',
    'About the same bytes: light (quantized), 33.0 MB, perplexity +1.00 %; pruned (pruned), 35.4 MB, perplexity +12.00 %.',
    'About the same bytes: light (quantized), 33.0 MB, perplexity +1.00 %; merged (merged), 35.4 MB, perplexity +20.00 %.',
  ]);
  expect(sameSizeSentences(planPointsOf([runs[0]!, runs[3]!]))).toEqual([]);
});

test('the chart draws every kind with its shape and name, and its numbers can be saved', async () => {
  const view = await dashboard.open({ ...snapshots.measured, evaluations: [...evaluations, ...runs] });
  const { page } = view;
  expect(await page.locator('.section-plans .legend-entry').allInnerTexts()).toEqual([
    'front',
    'unchanged',
    'pruned',
    'merged',
    'quantized',
  ]);
  await page.getByRole('button', { name: 'Export: Plans by size' }).click();
  const { section } = (await view.messages()).at(-1) as unknown as { section: { rows: unknown[][]; svg: string } };
  expect(section.rows.map((row) => row[1])).toEqual(['quantize', 'unchanged', 'prune', 'merge']);
  for (const name of ['rounded', 'pruned', 'the model as it is']) {
    expect(section.svg).toContain(`>${name}<`);
  }
});
