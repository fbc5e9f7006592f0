import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import type { PageSettings, WebviewPage } from './webviewBrowser';
import { webviewHarness } from './webviewHarness';

export const dashboardEntry = 'webviews/dashboard/main.ts';

export interface DashboardHarness {
  /** Opens the dashboard, and shows a snapshot when one is given. Checked for complaints after the test. */
  open(snapshot?: DashboardSnapshot, settings?: Partial<PageSettings>): Promise<WebviewPage>;
}

/** The dashboard for the tests of a file; after each test every page must be free of complaints. */
export function dashboardHarness(translations?: Readonly<Record<string, string>>): DashboardHarness {
  const harness = webviewHarness(dashboardEntry, {}, translations);
  return { open: (snapshot, settings) => harness.open(snapshot === undefined ? [] : [snapshot], settings) };
}
