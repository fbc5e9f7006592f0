import { describe, expect, test } from 'vitest';
import { exportedSectionSchema, type ExportedSection } from '../../engine/protocol/exportedSection';
import { dashboardHarness } from '../support/dashboardHarness';
import { budget, decidedBits, evaluations, mergeRun, profile, pruneRun, snapshots } from '../support/webviewSnapshots';

const dashboard = dashboardHarness();

/** Colours in the picture that the browser makes of an SVG; runs in the page. */
const countColours = `async (svg) => {
  const image = new Image();
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(svg);
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
}`;

async function exported(
  title: string,
): Promise<{ section: ExportedSection; redraw: (svg: string) => Promise<number> }> {
  const view = await dashboard.open(snapshots.measured);
  await view.page.getByRole('button', { name: `Export: ${title}`, exact: true }).click();
  const last = (await view.messages()).at(-1) as { kind: string; section: unknown };
  expect(last.kind).toBe('export');
  const redraw = (svg: string) => view.page.evaluate<number>(`(${countColours})(${JSON.stringify(svg)})`);
  return { section: exportedSectionSchema.parse(last.section), redraw };
}

describe('export of a section', () => {
  test('the sensitivity: every number unrounded, the map as PNG and as SVG', async () => {
    const { section, redraw } = await exported('Sensitivity');
    const first = profile.layers[0]!;
    expect(section.columns).toEqual(['layer', 'activeExperts', 'raw', 'relativeSquared', 'outputNorm']);
    expect(section.rows[1]).toEqual([first.index, 2, first.raw[1], first.relativeSquared[1], first.outputNorm]);
    expect(section.rows).toHaveLength(profile.layers.reduce((sum, { raw }) => sum + raw.length, 0));
    expect(Buffer.from(section.png!, 'base64').subarray(1, 4).toString()).toBe('PNG');
    expect(section.svg).toContain('<svg');
    expect(await redraw(section.svg!)).toBeGreaterThan(40);
  });

  test.each([
    ['Budget per layer', budget.layers.length],
    ['Quality and cost', budget.front.length],
  ])('%s: one row per mark, text of the axes in the SVG', async (title, rows) => {
    const { section, redraw } = await exported(title);
    expect(section.rows).toHaveLength(rows);
    expect(section.svg).toMatch(/<text[^>]*>/);
    expect(section.svg).toMatch(/<path/);
    expect(await redraw(section.svg!)).toBeGreaterThan(3);
  });

  test('an evaluation has numbers only', async () => {
    const { section } = await exported('Evaluation');
    expect(section.png).toBeUndefined();
    const sets = Object.entries(evaluations[1]!.datasets);
    expect(section.rows.slice(0, sets.length).map((row) => row[3])).toEqual(sets.map(([, set]) => set.perplexity));
  });
});

describe('runs side by side', () => {
  test('the two newest are compared at first; the best value of a row is marked and spoken', async () => {
    const { page } = await dashboard.open(snapshots.measured);
    const table = page.locator('.section-compare table');
    const [before, after] = evaluations.slice(-2);
    expect(await table.locator('thead th').count()).toBe(3);
    const row = table.locator('tbody tr', { hasText: 'Perplexity, Geometric mean' });
    const better = before!.geometricMeanPerplexity! < after!.geometricMeanPerplexity! ? 0 : 1;
    expect(await row.locator('td').nth(better).getAttribute('class')).toBe('best');
    expect(await row.locator('td').nth(better).textContent()).toContain('(best)');
    expect(
      await row
        .locator('td')
        .nth(1 - better)
        .textContent(),
    ).not.toContain('(best)');
  });

  test('what is compared is the person’s choice, and it stays', async () => {
    const view = await dashboard.open(snapshots.measured);
    const boxes = view.page.locator('.section-compare input[type=checkbox]');
    expect(await boxes.count()).toBe(evaluations.length);
    await boxes.first().focus();
    await view.page.keyboard.press('Space');
    expect(await view.page.locator('.section-compare .note').first().innerText()).toBe('Choose at least two runs.');
    for (let at = 0; at < evaluations.length; at += 1) {
      await boxes.nth(at).setChecked(true);
    }
    expect(await view.page.locator('.section-compare thead th').count()).toBe(evaluations.length + 1);
    expect(await view.state()).toMatchObject({
      compared: expect.arrayContaining(evaluations.map((run) => run.finished)),
    });
  });

  test('what pruning, merging and quantizing decided stands beside the evaluations, and beside each other', async () => {
    const decided = { pruneRuns: [pruneRun], mergeRuns: [mergeRun], quantizations: [decidedBits] };
    const view = await dashboard.open({ ...snapshots.measured, ...decided });
    const section = view.page.locator('.section-compare');
    const labels = section.locator('label');
    expect(await labels.count()).toBe(evaluations.length + 3);
    expect(await labels.nth(1).innerText()).toMatch(/^Merged 25% by mergemoe, /);
    expect(await labels.nth(2).innerText()).toMatch(/^Pruned 25% by reap, /);
    expect(await labels.nth(0).innerText()).toMatch(/^Quantized to 4.00 bits by gptq, /);
    const boxes = section.locator('input[type=checkbox]');
    for (let at = 0; at < evaluations.length + 3; at += 1) {
      await boxes.nth(at).setChecked(at < 3);
    }
    const cells = (name: string) => section.locator('tbody tr', { hasText: name }).locator('td').allTextContents();
    expect(await cells('KL to the baseline, calibration text (24576 tokens)')).toEqual([
      '0.08125',
      '0.1250',
      '0.01250 (best)',
    ]);
    expect(await cells('MB of experts')).toEqual(['–', '35.4', '13.0']);
    expect(await cells('Experts that stay')).toEqual(['288', '288', '–']);
  });
});
