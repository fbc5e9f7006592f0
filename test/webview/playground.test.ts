import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import { describe, expect, test } from 'vitest';
import { protocolVersion } from '../../engine/protocol/messages';
import type { PlaygroundMessage } from '../../engine/protocol/playground';
import { result, run, settings, target } from '../support/playgroundSamples';
import { pseudoBundle, untranslated } from '../support/pseudoLanguage';
import type { PageElement, WebviewPage } from '../support/webviewBrowser';
import { bundleWebview, repository } from '../support/webviewBundle';
import { webviewHarness } from '../support/webviewHarness';
import { webviewThemes } from '../support/webviewThemes';

const entry = 'webviews/playground/main.ts';
const playground = webviewHarness(entry, { width: 1000, height: 1100 });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const screenshots = join(repository, 'test-results', 'webview');

async function messages(view: WebviewPage): Promise<PlaygroundMessage[]> {
  return (await view.messages()) as unknown as PlaygroundMessage[];
}

async function findings(view: WebviewPage): Promise<string[]> {
  await view.page.evaluate(`window.axe || (() => { ${axe} })()`);
  const { violations }: AxeResults = await view.page.evaluate(`axe.run(document, { resultTypes: ['violations'] })`);
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ''}`));
}

const baselineTokens = 'Tokens of the model as it was trained';

describe('a run', () => {
  test('is asked for with what the person set, and stopped by the button that takes the place of the first', async () => {
    const view = await playground.open([target]);
    expect(await messages(view)).toEqual([{ kind: 'ready', version: protocolVersion }]);
    const generate = view.page.locator('moe-button', { hasText: 'Generate' });
    expect(await generate.getAttribute('title')).toBe('Write a prompt first.');
    await view.page.getByLabel('Prompt').fill('Tell me');
    await view.page.getByLabel('Tokens', { exact: true }).fill('7');
    await view.page.getByLabel('Temperature').fill('0.7');
    await view.page.getByLabel('Seed').fill('5');
    await generate.click();
    const asked = { prompt: 'Tell me', tokens: 7, temperature: 0.7, seed: 5 };
    expect((await messages(view)).at(-1)).toEqual({ kind: 'generate', settings: asked });
    await view.post(run()[0]!);
    await view.page.locator('moe-button', { hasText: 'Stop and keep' }).click();
    expect((await messages(view)).at(-1)).toEqual({ kind: 'cancel' });
    await view.post({ kind: 'stopped', message: 'The engine stopped.', wayOut: 'Try again.' });
    expect(await view.page.getByRole('alert').innerText()).toContain('Try again.');
    await view.page.getByLabel('Prompt').press('Control+Enter');
    expect((await messages(view)).filter(({ kind }) => kind === 'generate')).toHaveLength(2);
  });

  test('shows tokens as they come; what is not decided yet is not marked', async () => {
    const steps = run();
    const view = await playground.open([target, ...steps.slice(0, 8)]);
    const options = view.page.getByRole('listbox', { name: baselineTokens }).getByRole('option');
    expect(await options.allInnerTexts()).toEqual(['Once', ' upon', ' a', ' time']);
    expect(await view.page.locator('.token.alone').count()).toBe(1);
    expect(await view.page.getByRole('progressbar').isVisible()).toBe(true);
    for (const step of steps.slice(8)) {
      await view.post(step);
    }
    expect(await view.page.getByRole('progressbar').isVisible()).toBe(false);
    expect(await view.page.locator('.summary').innerText()).toBe(
      '4 of 7 positions (57.1%) have the same token. The first other one is token 4.',
    );
    expect(await view.page.locator('.first-different').allInnerTexts()).toEqual([' time', ' day']);
    expect(await view.page.locator('.token.different').count()).toBe(3);
    // The mark is a sign and a line, not a colour.
    const look = `getComputedStyle(document.querySelector('.first-different'), '::before').content`;
    expect(await view.page.evaluate(look)).toBe('"≠"');
    const line = `getComputedStyle(document.querySelector('.token.different')).textDecorationStyle`;
    expect(await view.page.evaluate(line)).toBe('wavy');
  });

  test('that is refused or cannot start says why, and nothing can be pressed', async () => {
    const view = await playground.open([{ ...target, reason: 'Models run only in workspaces you trust.' }]);
    await view.page.getByLabel('Prompt').fill('x');
    await view.page.getByLabel('Prompt').press('Control+Enter');
    expect(await messages(view)).toHaveLength(1);
    expect(await view.page.locator('.notice').first().innerText()).toContain('workspaces you trust');
    await view.post({ kind: 'nonsense' });
    expect(await view.page.getByRole('alert').innerText()).toContain('cannot read');
  });
});

describe('the experts of the chosen token', () => {
  test('are those of its step in every layer, with what both models used', async () => {
    const view = await playground.open([target, ...run()]);
    const list = view.page.getByRole('listbox', { name: baselineTokens });
    await list.focus();
    await list.press('ArrowRight');
    await list.press('ArrowRight');
    expect(await view.page.locator('.activity-section h2').innerText()).toBe('Experts of token 3');
    const rows = view.page.locator('.activity tbody tr');
    expect(await rows.count()).toBe(result.layers.length);
    for (const [at, layer] of result.layers.entries()) {
      const [left, right] = result.variants.map(({ tokens }) => tokens[2]!.experts[at]!);
      const shared = left!.filter((expert) => right!.includes(expert));
      const cells = await rows.nth(at).locator('th, td').allInnerTexts();
      expect(cells[0]).toBe(String(layer.index));
      const shown = (cell: string) => [...cell.matchAll(/=?(\d+)\s\d+%/g)].map(([, id]) => Number(id));
      expect(shown(cells[2]!)).toEqual(left);
      expect(shown(cells[3]!)).toEqual(right);
      expect((cells[2]!.match(/=/g) ?? []).length).toBe(shared.length);
      expect(cells[4]).toBe(`${shared.length} of 4`);
      expect(await rows.nth(at).locator('rect').count()).toBe(left!.length + right!.length);
    }
  });

  test('are chosen by keys and pointer, the same position in both texts', async () => {
    const view = await playground.open([target, ...run()]);
    const title = view.page.locator('.activity-section h2');
    const list = view.page.getByRole('listbox', { name: baselineTokens });
    await list.focus();
    await list.press('End');
    expect(await title.innerText()).toBe('Experts of token 6');
    await list.press('Home');
    expect(await title.innerText()).toBe('Experts of token 1');
    await view.page.getByRole('option').last().click();
    expect(await title.innerText()).toBe('Experts of token 7');
    // The model as it was trained has ended before: its column says so.
    expect(await view.page.locator('.activity tbody tr').first().locator('td').nth(1).innerText()).toBe('–');
    const described = await list.evaluate((node: PageElement) => node.getAttribute('aria-activedescendant'));
    expect(described).not.toBeNull();
  });
});

test('what was set and generated comes back after a reload', async () => {
  const view = await playground.open([target, ...run()]);
  await view.page.getByLabel('Prompt').fill('Another');
  await view.page.getByRole('option').nth(1).click();
  const state = (await view.state()) as { target: object };
  expect(state.target).toEqual({ folder: '/models/sample', plan: '/models/sample.moeplan.json' });
  const again = await playground.open([target], { state });
  expect(await again.page.getByLabel('Prompt').inputValue()).toBe('Another');
  expect(await again.page.locator('.activity-section h2').innerText()).toBe('Experts of token 2');
  expect(await again.page.getByRole('option').count()).toBe(13);
  const fresh = await playground.open([target], { state: { settings: { tokens: 'many' } } });
  expect(await fresh.page.getByLabel('Tokens', { exact: true }).inputValue()).toBe('64');
});

test('without a plan there is one text, and a button to take one', async () => {
  const view = await playground.open([{ ...target, plan: undefined, target: { folder: '/models/sample' } }]);
  expect(await view.page.getByRole('region', { name: 'With the plan' }).count()).toBe(0);
  await view.post({ kind: 'started', settings });
  await view.post({ kind: 'finished', result: { ...result, variants: [result.variants[0]!], agreement: undefined } });
  expect(await view.page.locator('.summary').innerText()).toBe('6 tokens.');
  expect(await view.page.locator('.activity thead th').count()).toBe(3);
  await view.page.locator('moe-button', { hasText: 'Compare with a plan…' }).click();
  expect((await messages(view)).at(-1)).toEqual({ kind: 'pickPlan' });
});

describe.each(webviewThemes)('the $name theme', (theme) => {
  test('no serious finding while and after generating', async () => {
    const view = await playground.open([target], { theme });
    const steps = run();
    for (const step of steps.slice(0, 9)) {
      await view.post(step);
    }
    expect(['running', await findings(view)]).toEqual(['running', []]);
    for (const step of steps.slice(9)) {
      await view.post(step);
    }
    await view.page.getByRole('option').nth(3).click();
    expect(['finished', await findings(view)]).toEqual(['finished', []]);
    await mkdir(screenshots, { recursive: true });
    await view.page.screenshot({ path: join(screenshots, `playground-${theme.name}.png`), fullPage: true });
  });
});

test('no serious finding before anything was generated', async () => {
  expect(await findings(await playground.open([target]))).toEqual([]);
});

test.each([220, 600])('nothing is cut off at a width of %i pixels', async (width) => {
  const view = await playground.open([target, ...run()], { width });
  const overflow = await view.page.locator('html').evaluate((page: PageElement) => page.scrollWidth - page.clientWidth);
  expect(overflow).toBeLessThanOrEqual(0);
});

test('the page can be walked with the Tab key, each stop visible', async () => {
  const view = await playground.open([target, ...run()], { state: { settings } });
  const stops: string[] = [];
  for (let step = 0; step < 20; step += 1) {
    await view.page.keyboard.press('Tab');
    if (await view.page.evaluate('document.activeElement === document.body')) {
      break;
    }
    stops.push(
      await view.page.evaluate(
        `document.activeElement.getAttribute('aria-label') || document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent`,
      ),
    );
  }
  expect(stops.map((stop) => stop.trim())).toEqual([
    'Compare with a plan…',
    'Without plan',
    'Prompt',
    'Tokens',
    'Temperature',
    'Seed',
    'Generate',
    baselineTokens,
    'Tokens of the model with the plan',
  ]);
});

describe('the bundle', () => {
  test('stays under 500 kB', async () => {
    const { script, style } = await bundleWebview(entry);
    console.log(`playground: ${script.length} bytes, style ${style.length} bytes`);
    expect(script.length).toBeLessThan(500_000);
  });
});

describe('another language', () => {
  const translated = webviewHarness(entry, {}, pseudoBundle());

  test('every word of the page comes from the table of texts', async () => {
    const view = await translated.open([target, ...run()]);
    const words = 'h2, label, .note, .summary, .field > span, .target-name, moe-button, .activity thead th';
    for (const shown of await view.page.locator(words).allInnerTexts()) {
      expect([shown, untranslated(shown).trim()]).toEqual([shown, '']);
    }
  });
});
