import { dashboardSnapshotSchema } from '../../engine/protocol/dashboard';
import type { DashboardMessage, DashboardSnapshot, EngineState } from '../../engine/protocol/dashboard';
import { protocolVersion } from '../../engine/protocol/messages';
import type { WebviewHost } from '../host';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNotice } from '../ui-kit/notice';
import { createActionBar } from './actionBar';
import { createBudgetSection } from './budgetSection';
import { createEvaluationSection } from './evaluationSection';
import { createFrontSection } from './frontSection';
import { createCompareSection } from './compareSection';
import { createErrorNotice, createJobStatus, createStaleNotice } from './notices';
import { createOverview } from './overview';
import { createPlanFrontSection } from './planFrontSection';
import type { DashboardContext, DashboardPart } from './section';
import { createSensitivitySection } from './sensitivitySection';
import { UiStateStore } from './uiState';
import { createUtilisationSection } from './utilisationSection';
import { createLoading, createNoCheckpoint, createUntrusted } from './welcome';

const engineNames = {
  stopped: 'engineStopped',
  starting: 'engineStarting',
  idle: 'engineIdle',
  busy: 'engineBusy',
  failed: 'engineFailedState',
} as const satisfies Record<EngineState, StringName>;

/** The last parts are sections, which stand side by side where there is room. */
const sectionCount = 7;

/**
 * Builds the dashboard in a container and keeps it equal to the latest snapshot of the host.
 *
 * @returns the function that takes it down
 */
export function startDashboard(container: HTMLElement, host: WebviewHost<DashboardMessage>): () => void {
  const state = new UiStateStore(host.readState(), (value) => {
    host.writeState(value);
  });
  const context: DashboardContext = {
    state,
    post: (message) => {
      host.post(message);
    },
  };
  const loading = createLoading();
  const untrusted = createUntrusted();
  const noCheckpoint = createNoCheckpoint(context);
  const unreadable = createNotice('error');
  const errors = createErrorNotice(context);
  const parts: readonly DashboardPart[] = [
    createOverview(context),
    createActionBar(context),
    createJobStatus(context),
    createStaleNotice(),
    createSensitivitySection(context),
    createBudgetSection(context),
    createFrontSection(context),
    createEvaluationSection(context),
    createCompareSection(context),
    createUtilisationSection(context),
    createPlanFrontSection(context),
  ];
  const roots = parts.map(({ root }) => root);
  const sections = element('div', { className: 'sections' }, roots.slice(-sectionCount));
  const checkpoint = element('div', { className: 'checkpoint' }, [...roots.slice(0, -sectionCount), sections]);
  const engine = element('footer', { className: 'engine-line note' });
  const pages = [loading, untrusted, noCheckpoint, checkpoint];
  container.replaceChildren(unreadable.root, errors.root, ...pages, engine);

  function showPage(page: HTMLElement): void {
    for (const one of pages) {
      one.hidden = one !== page;
    }
  }

  function pageFor(snapshot: DashboardSnapshot): HTMLElement {
    if (!snapshot.trusted) {
      return untrusted;
    }
    return snapshot.checkpoints.length === 0 ? noCheckpoint : checkpoint;
  }

  function show(snapshot: DashboardSnapshot): void {
    unreadable.update(undefined);
    // Shown first: charts measure their container when they draw.
    showPage(pageFor(snapshot));
    errors.update(snapshot);
    for (const part of parts) {
      part.update(snapshot);
    }
    // Without the facts of a checkpoint there is nothing to measure and nothing to show.
    sections.hidden = snapshot.summary === undefined;
    setText(engine, engineLine(snapshot));
  }

  showPage(loading);
  const stop = host.onMessage((message) => {
    const parsed = dashboardSnapshotSchema.safeParse(message);
    if (parsed.success) {
      show(parsed.data);
    } else {
      // What was shown stays: an unreadable message must not take results away.
      unreadable.update(text('unreadableMessage'), text('unreadableWayOut'));
    }
  });
  host.post({ kind: 'ready', version: protocolVersion });
  return () => {
    stop();
    for (const part of [...parts, errors]) {
      part.dispose();
    }
    container.replaceChildren();
  };
}

function engineLine({ engine: { state, provider } }: DashboardSnapshot): string {
  const name = text(engineNames[state]);
  return provider === undefined
    ? text('engineLine', { state: name })
    : text('engineLineProvider', { state: name, provider });
}
