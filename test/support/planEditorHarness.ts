import type { PlanEditorMessage, PlanEditorUpdate } from '../../engine/protocol/planEditor';
import type { PageSettings, WebviewPage } from './webviewBrowser';
import { webviewHarness } from './webviewHarness';

export const planEditorEntry = 'webviews/plan-editor/main.ts';

export interface PlanEditorHarness {
  /** Opens the plan editor with some messages of the extension. Checked for complaints after the test. */
  open(updates?: readonly PlanEditorUpdate[], settings?: Partial<PageSettings>): Promise<WebviewPage>;
}

/** The plan editor for the tests of a file; after each test every page must be free of complaints. */
export function planEditorHarness(translations?: Readonly<Record<string, string>>): PlanEditorHarness {
  const harness = webviewHarness(planEditorEntry, { width: 900, height: 1100 }, translations);
  return { open: (updates = [], settings) => harness.open(updates, settings) };
}

/** What the page asked to change, in order. */
export async function editsOf(view: WebviewPage): Promise<PlanEditorMessage[]> {
  const messages = (await view.messages()) as unknown as PlanEditorMessage[];
  return messages.filter((message) => 'edit' in message);
}
