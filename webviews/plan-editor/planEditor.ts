import { planEditorUpdateSchema } from '../../engine/protocol/planEditor';
import type {
  PlanDocument,
  PlanEditorMessage,
  PlanEditorUpdate,
  PlanFront,
  PlanMeasurements,
  PlanScores,
  PlanStatus,
} from '../../engine/protocol/planEditor';
import { pageVersion } from '../../engine/protocol/pageVersion';
import { planVersion } from '../../engine/protocol/plan';
import type { Plan } from '../../engine/protocol/plan';
import type { WebviewHost } from '../host';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { createNotice } from '../ui-kit/notice';
import { createProgressRing } from '../ui-kit/toolkit';
import { createAdditions } from './additions';
import { BitsSection } from './bitsSection';
import { BudgetSection } from './budgetSection';
import { createEvaluateSection } from './evaluateSection';
import { ExpertSection } from './expertSection';
import { createExplanationPanel } from './explanationPanel';
import { layersOf } from './layerState';
import type { PlanView } from './layerState';
import { createNotices } from './notices';
import { PendingEdits } from './pendingEdits';
import { createRoutingSection } from './routingSection';
import type { EditorContext, EditorPart } from './section';
import { UiStateStore } from './uiState';

/** The latest message of each topic. */
interface Topics {
  document?: PlanDocument;
  measurements?: PlanMeasurements;
  readonly scores: Map<string, PlanScores>;
  front?: PlanFront;
  status?: PlanStatus;
}

/** A document that never was readable has no plan; what can be shown then is the problem alone. */
const noPlan: Plan = { version: planVersion };

function viewOf(
  { front, status, scores }: Topics,
  document: PlanDocument,
  measurements: PlanMeasurements,
  pending: PendingEdits,
): PlanView {
  const plan = pending.apply(document.plan ?? noPlan, measurements);
  const layers = document.plan === undefined ? [] : layersOf(plan, measurements);
  const editable = document.writable && document.problem === undefined && measurements.state !== 'other';
  return { document, plan, measurements, scores, front, status, layers, editable };
}

/**
 * Builds the plan editor in a container and keeps it equal to what the extension says about the document.
 *
 * @returns the function that takes it down
 */
export function startPlanEditor(container: HTMLElement, host: WebviewHost<PlanEditorMessage>): () => void {
  const topics: Topics = { scores: new Map() };
  const pending = new PendingEdits();
  const state = new UiStateStore(host.readState(), (value) => {
    host.writeState(value);
  });
  const explanation = createExplanationPanel();
  const context: EditorContext = {
    state,
    explanation,
    post: (message) => {
      host.post(message);
    },
    edit: (edit) => {
      host.post(pending.add(edit));
      render();
    },
  };
  const loading = element('div', { className: 'loading', attributes: { role: 'status' } }, [
    createProgressRing(),
    element('p', { text: text('loading') }),
  ]);
  const unreadable = createNotice('error');
  const notices = createNotices(context);
  const sections: readonly EditorPart[] = [
    new BudgetSection(context),
    new ExpertSection(context),
    new BitsSection(context),
    createRoutingSection(context),
    createAdditions(context),
    createEvaluateSection(context),
  ];
  const body = element(
    'div',
    { className: 'plan-sections' },
    sections.map(({ root }) => root),
  );
  const editor = element('div', { className: 'plan-editor' }, [...notices.map(({ root }) => root), body]);
  editor.hidden = true;
  explanation.root.hidden = true;
  container.replaceChildren(unreadable.root, loading, editor, explanation.root);

  function render(): void {
    const { document: shown, measurements } = topics;
    if (shown === undefined || measurements === undefined) {
      return;
    }
    const first = editor.hidden;
    // Shown first: charts measure their container when they draw.
    loading.hidden = true;
    editor.hidden = false;
    explanation.root.hidden = false;
    const view = viewOf(topics, shown, measurements, pending);
    // The last readable plan stays in sight, but nothing in it can be used.
    body.classList.toggle('outdated', shown.problem !== undefined);
    body.inert = shown.problem !== undefined;
    for (const part of [...notices, ...sections]) {
      part.update(view);
    }
    if (first) {
      window.scrollTo(0, state.current.scroll);
    }
  }

  function receive(update: PlanEditorUpdate): void {
    unreadable.update(undefined);
    switch (update.kind) {
      case 'document':
        pending.settle(update.applied);
        topics.document = update;
        break;
      case 'measurements':
        topics.measurements = update;
        break;
      case 'scores':
        topics.scores.set(update.method, update);
        break;
      case 'front':
        topics.front = update;
        break;
      case 'status':
        topics.status = update;
    }
    render();
  }

  const stop = host.onMessage((message) => {
    const parsed = planEditorUpdateSchema.safeParse(message);
    if (parsed.success) {
      receive(parsed.data);
    } else {
      // What was shown stays: an unreadable message must not take the plan away.
      unreadable.update(text('unreadableMessage'), text('unreadableWayOut'));
    }
  });
  const scrolled = (): void => {
    state.change({ scroll: window.scrollY });
  };
  window.addEventListener('scrollend', scrolled);
  host.post({ kind: 'ready', version: pageVersion });
  if (state.current.lossTable !== undefined) {
    host.post({ kind: 'useTable', table: state.current.lossTable });
  }
  return () => {
    stop();
    window.removeEventListener('scrollend', scrolled);
    for (const part of [...notices, ...sections]) {
      part.dispose();
    }
    container.replaceChildren();
  };
}
