import type { DashboardMessage, DashboardSnapshot } from '../../engine/protocol/dashboard';
import type { ExportedSection } from '../../engine/protocol/exportedSection';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createPane } from '../ui-kit/pane';
import type { SectionName, UiStateStore } from './uiState';

/** What every part of the dashboard gets: where to send messages, and what the person has arranged. */
export interface DashboardContext {
  readonly post: (message: DashboardMessage) => void;
  readonly state: UiStateStore;
}

/** A part of the dashboard. Each snapshot is complete, so a part forgets the one before. */
export interface DashboardPart {
  readonly root: HTMLElement;
  update(snapshot: DashboardSnapshot): void;
  dispose(): void;
}

export interface SectionShell {
  readonly root: HTMLElement;
  /** Shows the body, or the sentence that says how to fill it. Stale numbers are marked beside the title. */
  setFilled(filled: boolean, stale: boolean): void;
  /** A quiet line below the body: how the numbers were made. */
  setNote(note: string): void;
}

export interface SectionOptions {
  readonly name: SectionName;
  readonly title: StringName &
    (
      | 'sensitivityTitle'
      | 'budgetTitle'
      | 'frontTitle'
      | 'evaluationTitle'
      | 'compareTitle'
      | 'utilisationTitle'
      | 'plansTitle'
    );
  readonly empty: StringName &
    (
      | 'sensitivityEmpty'
      | 'budgetEmpty'
      | 'frontEmpty'
      | 'evaluationEmpty'
      | 'compareEmpty'
      | 'utilisationEmpty'
      | 'plansEmpty'
    );
  /** Called when the person shows or hides the table; without it there is no button. */
  readonly onTable?: (shown: boolean) => void;
  /** What the section shows as data and pictures, or undefined where it shows nothing; without it there is no button. */
  readonly exported?: () => SectionData | undefined;
}

/** A section as files: its numbers, unrounded, and its chart. */
export type SectionData = Omit<ExportedSection, 'name'>;

/** A collapsible section with its empty state and its note, remembering how the person left it. */
export function createSection(context: DashboardContext, options: SectionOptions, body: readonly Node[]): SectionShell {
  const { state, post } = context;
  const { name, onTable, exported } = options;
  const title = text(options.title);
  const filled = element('div', { className: 'section-body' }, body);
  const empty = element('p', { className: 'empty', text: text(options.empty) });
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
  const exportOptions =
    exported === undefined
      ? {}
      : {
          exportLabel: text('exportSection', { section: title }),
          onExport: (): void => {
            const data = exported();
            if (data !== undefined) {
              post({ kind: 'export', section: { name: title, ...data } });
            }
          },
        };
  const collapsed = state.current.collapsed.includes(name);
  const onToggle = (closed: boolean): void => {
    state.toggle('collapsed', name, closed);
  };
  const pane = createPane({ title, collapsed, onToggle, ...tableOptions, ...exportOptions }, [filled, empty, note]);
  pane.root.classList.add(`section-${name}`);
  return {
    root: pane.root,
    setFilled: (isFilled, stale) => {
      pane.setBadge(isFilled && stale ? text('staleBadge') : undefined);
      filled.hidden = !isFilled;
      note.hidden = !isFilled;
      empty.hidden = isFilled;
      pane.setTableAvailable(isFilled);
    },
    setNote: (value) => {
      setText(note, value);
    },
  };
}

/**
 * Tells whether a value differs from the one before, by content. Snapshots come often while a job runs and mostly repeat what
 * is shown; drawing that again would make screen readers speak again.
 */
export function createChangeGate(): (value: readonly unknown[]) => boolean {
  let previous: string | undefined;
  return (value) => {
    const next = JSON.stringify(value);
    const changed = next !== previous;
    previous = next;
    return changed;
  };
}
