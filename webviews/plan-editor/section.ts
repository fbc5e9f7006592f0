import type { PlanEditorMessage } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createPane } from '../ui-kit/pane';
import type { ExplanationPanel } from './explanationPanel';
import type { PlanView } from './layerState';
import type { NewEdit } from './pendingEdits';
import type { SectionName, UiStateStore } from './uiState';

/** What every part of the editor gets. */
export interface EditorContext {
  /** Sends a message that changes nothing. */
  readonly post: (message: Exclude<PlanEditorMessage, { readonly edit: number }>) => void;
  /** Changes the plan: shown at once, and on its way to the document. */
  readonly edit: (edit: NewEdit) => void;
  readonly state: UiStateStore;
  readonly explanation: ExplanationPanel;
}

/** A part of the editor. Each view is complete, so a part forgets the one before. */
export interface EditorPart {
  readonly root: HTMLElement;
  update(view: PlanView): void;
  dispose(): void;
}

export interface SectionShell {
  readonly root: HTMLElement;
  readonly setNote: (note: string) => void;
  readonly setBadge: (badge: string | undefined) => void;
}

export interface SectionOptions {
  readonly name: SectionName;
  readonly title: StringName & ('planBudgets' | 'planExperts' | 'planQuantization' | 'planRouting' | 'planEvaluate');
  /** Called when the person shows or hides the table; without it there is no button. */
  readonly onTable?: (shown: boolean) => void;
}

/** A collapsible section with its note, remembering how the person left it. */
export function createSection(context: EditorContext, options: SectionOptions, body: readonly Node[]): SectionShell {
  const { state } = context;
  const { name, onTable } = options;
  const title = text(options.title);
  const note = element('p', { className: 'note' });
  const tableShown = state.current.tables.includes(name);
  const tableOptions =
    onTable === undefined
      ? {}
      : {
          tableLabel: text('showTable', { section: title }),
          tableShown,
          onTable: (shown: boolean): void => {
            state.toggle('tables', name, shown);
            onTable(shown);
          },
        };
  const collapsed = state.current.collapsed.includes(name);
  const onToggle = (closed: boolean): void => {
    state.toggle('collapsed', name, closed);
  };
  const pane = createPane({ title, collapsed, onToggle, ...tableOptions }, [...body, note]);
  pane.root.classList.add('plan-section', `section-${name}`);
  return {
    root: pane.root,
    setNote: (value) => {
      setText(note, value);
    },
    setBadge: (badge) => {
      pane.setBadge(badge);
    },
  };
}
