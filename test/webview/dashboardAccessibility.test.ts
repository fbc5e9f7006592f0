import { describe, expect, test } from 'vitest';
import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import { seriousFindings as findings } from '../support/axe';
import { calibration } from '../support/calibrationSnapshot';
import { dashboardHarness } from '../support/dashboardHarness';
import { runLabel } from '../../webviews/dashboard/evaluationModel';
import { evaluations, snapshots } from '../support/webviewSnapshots';
import { webviewThemes } from '../support/webviewThemes';

const dashboard = dashboardHarness();

/** Everything that a page with a checkpoint can hold, at once: themes differ in colours, and these are all that are used. */
const everything: DashboardSnapshot = {
  ...snapshots.searched,
  ...snapshots.failed,
  ...snapshots.blockOnly,
  budget: snapshots.searched.budget,
  evaluations: snapshots.searched.evaluations,
  measuredBudgets: snapshots.searched.measuredBudgets,
  calibration,
  job: snapshots.running.job,
  stale: true,
};

test('no serious finding in any state', { timeout: 240_000 }, async () => {
  const view = await dashboard.open(undefined, { height: 1800 });
  const calibrated = { ...snapshots.profiled, calibration };
  for (const [state, snapshot] of Object.entries({ ...snapshots, calibrated, everything })) {
    await view.post(snapshot);
    expect([state, await findings(view)]).toEqual([state, []]);
  }
});

describe.each(webviewThemes.slice(1))('the $name theme', (theme) => {
  test('no serious finding with all there is, and with nothing', { timeout: 240_000 }, async () => {
    const view = await dashboard.open(undefined, { theme, height: 1800 });
    const { empty, untrusted, reading, profiled } = snapshots;
    for (const [state, snapshot] of Object.entries({ everything, empty, untrusted, reading, profiled })) {
      await view.post(snapshot);
      expect([state, await findings(view)]).toEqual([state, []]);
    }
  });
});

test('the checker sees a planted fault', async () => {
  const view = await dashboard.open(snapshots.empty);
  await view.page.evaluate(`document.querySelector('main').append(document.createElement('button'))`);
  expect(await findings(view)).toEqual([expect.stringContaining('button-name')]);
});

test.each(['measured', 'searched'] as const)(
  'no serious finding with every table shown, at 200 % zoom: %s',
  async (state) => {
    const tables = ['sensitivity', 'budget', 'front'];
    const view = await dashboard.open(snapshots[state], { width: 150, state: { tables } });
    expect(await findings(view)).toEqual([]);
  },
);

test('the whole dashboard can be walked with the Tab key, each stop visible', async () => {
  const view = await dashboard.open(snapshots.measured, { height: 1800 });
  const stops: string[] = [];
  for (let step = 0; step < 50; step += 1) {
    await view.page.keyboard.press('Tab');
    const name: string = await view.page.evaluate(
      `document.activeElement.getAttribute('aria-label') || (document.activeElement.closest('label') ?? document.activeElement).textContent`,
    );
    if (await view.page.evaluate('document.activeElement === document.body')) {
      break;
    }
    stops.push(name.trim());
  }
  expect(stops).toEqual([
    'Checkpoint',
    'Open config.json',
    'Profile sensitivity',
    'Find budgets',
    'Evaluate',
    'More',
    'Sensitivity',
    'Show numbers as a table: Sensitivity',
    'Export: Sensitivity',
    'Measure',
    'Output change by layer and number of active experts',
    'Budget per layer',
    'Show numbers as a table: Budget per layer',
    'Export: Budget per layer',
    'Chosen active experts per layer',
    'Quality and cost',
    'Show numbers as a table: Quality and cost',
    'Export: Quality and cost',
    'Best allocation for each cost',
    'Evaluation',
    'Export: Evaluation',
    'Run',
    'Compare runs',
    'Export: Compare runs',
    ...[...evaluations].reverse().map(runLabel),
    'Expert utilisation',
    'Plans by size',
  ]);
});
