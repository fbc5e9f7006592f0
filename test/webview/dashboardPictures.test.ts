import { describe, expect, test } from 'vitest';
import { calibration } from '../support/calibrationSnapshot';
import { differenceOf, isAlike } from '../support/compareThumbnails';
import { dashboardHarness } from '../support/dashboardHarness';
import { pictureFindings, storedPicture, thumbnailOfPart } from '../support/pictures';
import { planRuns } from '../support/planRuns';
import type { WebviewPage } from '../support/webviewBrowser';
import { snapshots } from '../support/webviewSnapshots';
import { webviewThemes } from '../support/webviewThemes';

const dashboard = dashboardHarness();
const settings = { pinned: true, width: 340, height: 600 } as const;

const everything = {
  ...snapshots.searched,
  calibration,
  evaluations: [...snapshots.searched.evaluations, ...planRuns],
};

const sections = ['sensitivity', 'budget', 'front', 'evaluation', 'compare', 'utilisation', 'plans'] as const;
const parts = [
  { name: 'dashboard-overview', selector: '.overview' },
  { name: 'dashboard-actions', selector: '.actions' },
  ...sections.map((name) => ({ name: `dashboard-${name}`, selector: `.section-${name}` })),
];

/** States that change the head of the page; each with all that stands above the sections. */
const states = ['empty', 'untrusted', 'searching', 'failed', 'stale'] as const;

/** The head of the page: the states differ there, and the sections have pictures of their own. */
async function hideSections(view: WebviewPage): Promise<void> {
  await view.page.evaluate(`document.querySelector('.sections').style.display = 'none'`);
}

describe.each(webviewThemes)('the $name theme', (theme) => {
  test('every section looks as its stored picture', async () => {
    const view = await dashboard.open(everything, { ...settings, theme });
    expect(await pictureFindings(view, theme.name, 'dashboard', parts)).toEqual([]);
  });

  test('states without numbers, and around them, look as their stored pictures', async () => {
    const view = await dashboard.open(undefined, { ...settings, theme });
    await hideSections(view);
    const findings: string[] = [];
    for (const state of states) {
      await view.post(snapshots[state]);
      const name = `dashboard-${state}`;
      findings.push(...(await pictureFindings(view, theme.name, name, [{ name }])));
    }
    expect(findings).toEqual([]);
  });
});

describe('the comparison', () => {
  /** Changes that a person would see, as a rule of the page's style or a change of its elements, and the picture they spoil. */
  const planted: readonly (readonly [what: string, picture: string, script: string])[] = [
    [
      'a chart that is half drawn',
      'front',
      `document.querySelector('.front canvas').style.clipPath = 'inset(0 0 50% 0)'`,
    ],
    [
      'a heat map of another colour',
      'sensitivity',
      `document.querySelector('.heat-map canvas').style.filter = 'hue-rotate(90deg)'`,
    ],
    [
      'a heat map of other numbers',
      'sensitivity',
      `document.querySelector('.heat-map canvas').style.transform = 'scaleY(-1)'`,
    ],
    ['a legend that is gone', 'plans', `document.querySelector('.section-plans .legends').remove()`],
    [
      'a table whose columns run together',
      'evaluation',
      `document.querySelectorAll('.section-evaluation td').forEach((cell) => { cell.style.textAlign = 'left'; })`,
    ],
    [
      'a button out of its row',
      'actions',
      `document.querySelector('.actions moe-button').style.transform = 'translateX(30px)'`,
    ],
    [
      'a button in a wrong colour',
      'actions',
      `document.querySelector('.actions moe-button').style.filter = 'invert(1)'`,
    ],
    [
      'facts in one column that were in two',
      'overview',
      `document.querySelector('.facts').style.padding = '0 0 0 40px'`,
    ],
  ];

  test('finds what a person would see', async () => {
    const view = await dashboard.open(everything, settings);
    const found: string[] = [];
    for (const [what, picture, script] of planted) {
      await view.load({ ...settings, theme: webviewThemes[0] });
      await view.post(everything);
      await view.page.evaluate(script);
      const [part] = parts.filter(({ name }) => name === `dashboard-${picture}`);
      const shown = await thumbnailOfPart(view, part!.selector);
      if (!isAlike(differenceOf(storedPicture('dark', part!.name)!, shown))) {
        found.push(what);
      }
    }
    expect(found).toEqual(planted.map(([what]) => what));
  });

  test('tells the themes apart', () => {
    for (const { name } of parts) {
      const [dark, light] = ['dark', 'light'].map((theme) => storedPicture(theme, name)!);
      expect([name, isAlike(differenceOf(dark!, light!))]).toEqual([name, false]);
      expect(differenceOf(dark!, dark!)).toEqual({ size: 0, mean: 0, changed: 0 });
    }
  });

  test('accepts letters drawn by another rasterizer', async () => {
    // Strokes of another weight, moved by a part of a pixel: what hinting and smoothing of other systems come to.
    const view = await dashboard.open(everything, settings);
    await view.page.evaluate(
      `document.body.style.cssText += 'text-shadow: 0.35px 0 currentcolor; transform: translate(0.4px, 0.3px)'`,
    );
    for (const { name, selector } of parts) {
      const difference = differenceOf(storedPicture('dark', name)!, await thumbnailOfPart(view, selector));
      expect([name, difference, isAlike(difference)]).toEqual([name, difference, true]);
      expect([name, difference.mean > 0.5]).toEqual([name, true]);
    }
  });
});
