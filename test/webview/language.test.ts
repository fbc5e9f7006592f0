import { describe, expect, test } from 'vitest';
import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import { calibration } from '../support/calibrationSnapshot';
import { dashboardHarness } from '../support/dashboardHarness';
import { planEditorHarness } from '../support/planEditorHarness';
import { documentOf, evaluated, everything, prunedPlan, running, samplePlan } from '../support/planEditorSamples';
import { pseudoBundle, untranslated } from '../support/pseudoLanguage';
import type { WebviewPage } from '../support/webviewBrowser';
import { evaluations, snapshots, summary } from '../support/webviewSnapshots';

const bundle = pseudoBundle();
const dashboard = dashboardHarness(bundle);
const editor = planEditorHarness(bundle);

/** Every text that a person sees or hears: text nodes, names and tooltips of elements, letters drawn on canvases. */
const collectScript = `(() => {
  const found = new Set();
  const walker = document.createTreeWalker(document.getElementById('root'), NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      if (!['STYLE', 'SCRIPT'].includes(node.parentElement.tagName)) found.add(node.textContent.trim());
      continue;
    }
    const spoken = node.closest('[aria-hidden="true"]') === null ? ['aria-label', 'aria-description', 'aria-valuetext'] : [];
    for (const name of ['title', 'placeholder', 'alt', ...spoken]) {
      found.add((node.getAttribute(name) ?? '').trim());
    }
  }
  return [...found, ...drawn].filter((text) => text !== '');
})()`;

/** Lets the page tell what it draws on canvases. */
const watchCanvases = `window.drawn = new Set(); for (const name of ['fillText', 'strokeText']) {
  const draw = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (text, ...rest) { drawn.add(String(text)); return draw.call(this, text, ...rest); };
}`;

/** Names of the samples, of methods, units and formats: nobody's to translate. */
const data = new Set(
  [
    ...Object.keys(evaluations[0]!.datasets),
    ...Object.keys(evaluations[0]!.tasks),
    ...evaluations.map(({ plan }) => plan!.split('/').at(-1)!),
    'olmoe olmoe-text tasks bfloat16 cpu gaussian lexi exact auto end-to-end search calibrated relative-squared random uniform',
    'sample.moeplan.json reap gptq rtn gate up down kB MB GB KL',
  ].flatMap((names) => names.split(' ')),
);

/** The extension sends the titles of jobs in the language of the window. */
const sent: readonly string[] = [running.job!.title, running.job!.message];

/** Times, which the language of the page writes. */
const times = /[A-Z][a-z]{2} \d+, \d+:\d+ [AP]M/;

/** Words of two letters or more that no translation covers. */
async function foreignWords(view: WebviewPage): Promise<string[]> {
  const shown: string[] = await view.page.evaluate(collectScript);
  expect(shown.length).toBeGreaterThan(5);
  return shown.flatMap((text) => {
    const words =
      untranslated(text)
        .replace(times, '')
        .match(/[\p{L}\d][\p{L}\d.\-_]*/gu) ?? [];
    const foreign = words.filter((word) => /\p{L}{2}/u.test(word) && !data.has(word));
    return foreign.length === 0 || sent.includes(text) ? [] : [text];
  });
}

const states: Readonly<Record<string, DashboardSnapshot>> = {
  untrusted: snapshots.untrusted,
  empty: snapshots.empty,
  reading: snapshots.reading,
  inspected: snapshots.inspected,
  searched: { ...snapshots.searched, calibration },
  stale: snapshots.stale,
};

describe('every word comes from the bundle that the extension uses too', () => {
  test('in the dashboard', async () => {
    const view = await dashboard.open(undefined, { width: 340 });
    await view.page.evaluate(watchCanvases);
    for (const [state, snapshot] of Object.entries(states)) {
      await view.post(snapshot);
      expect([state, await foreignWords(view)]).toEqual([state, []]);
    }
    expect(await view.page.evaluate('drawn.size')).toBeGreaterThan(10);
    const overflow = await view.page.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
  });

  test('in the plan editor', async () => {
    const view = await editor.open();
    await view.page.evaluate(watchCanvases);
    const pruned = prunedPlan();
    const messages = [...(await everything()), documentOf(samplePlan, { changedOnDisk: true }), running, evaluated];
    for (const message of [...messages, documentOf(pruned.plan), pruned.measurements]) {
      await view.post(message);
      expect([message.kind, await foreignWords(view)]).toEqual([message.kind, []]);
    }
    expect(await view.page.evaluate('drawn.size')).toBeGreaterThan(3);
  });

  test('and one that does not is found', async () => {
    const view = await dashboard.open({
      ...snapshots.inspected,
      summary: { ...summary, warnings: ['A planted warning.'] },
    });
    await view.page.evaluate(watchCanvases);
    expect(await foreignWords(view)).toEqual(['A planted warning.']);
  });
});
