import { text } from '../strings';
import { createDataGrid } from '../ui-kit/dataGrid';
import { element, setText } from '../ui-kit/elements';
import { createScrollArea } from '../ui-kit/scrollArea';
import { createButton } from '../ui-kit/toolkit';
import { historyCells, historyColumns, resultColumns, resultRows, runTime } from './evaluateModel';
import type { PlanRun, ResultRow } from './evaluateModel';
import type { PlanView } from './layerState';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

/** What was measured of this plan: the newest run against the baseline, and the runs before it. */
export function createEvaluateSection(context: EditorContext): EditorPart {
  const { state, explanation } = context;
  let view: PlanView | undefined;
  let rows: readonly ResultRow[] = [];
  let newestFirst: readonly PlanRun[] = [];
  let drawn = '';

  const evaluate = createButton({
    label: text('planEvaluateButton'),
    icon: 'checklist',
    appearance: 'primary',
    onPress: () => context.post({ kind: 'action', action: 'evaluatePlan' }),
  });
  const apply = createButton({
    label: text('planApplyButton'),
    icon: 'export',
    appearance: 'secondary',
    onPress: () => context.post({ kind: 'action', action: 'applyPlan' }),
  });
  const dashboard = createButton({
    label: text('planDashboardButton'),
    icon: 'pulse',
    appearance: 'secondary',
    onPress: () => context.post({ kind: 'action', action: 'openDashboard' }),
  });
  const empty = element('p', { className: 'empty', text: text('planNotEvaluated') });
  const title = element('h3');
  const results = createDataGrid({
    mode: 'cells',
    hint: text('planResultsHint'),
    onMove: ({ row, column }) => explanation.show(rows[row]?.cells[column]?.explanation),
    onActivate: ({ row, column }) => explanation.show(rows[row]?.cells[column]?.explanation),
  });
  const historyTitle = element('h3', { text: text('planHistory') });
  const choose = (row: number): void => {
    const run = newestFirst[row];
    if (run !== undefined && run.finished !== shownRun()?.finished) {
      state.change({ evaluation: run.finished });
      render();
    }
  };
  const history = createDataGrid({
    mode: 'rows',
    hint: text('planHistoryHint'),
    onMove: ({ row }) => choose(row),
    onActivate: ({ row }) => choose(row),
  });
  for (const grid of [results, history]) {
    grid.show(true);
  }
  const measured = element('div', { className: 'evaluation' }, [
    title,
    createScrollArea(text('planResults'), results.root),
    historyTitle,
    createScrollArea(text('planHistory'), history.root),
  ]);
  const buttons = element('div', { className: 'section-actions' }, [evaluate.root, apply.root, dashboard.root]);
  const shell = createSection(context, { name: 'evaluate', title: 'planEvaluate' }, [buttons, empty, measured]);

  function shownRun(): PlanRun | undefined {
    return newestFirst.find(({ finished }) => finished === state.current.evaluation) ?? newestFirst[0];
  }

  function render(): void {
    const run = shownRun();
    empty.hidden = run !== undefined;
    measured.hidden = run === undefined;
    shell.setBadge(run?.stale === true ? text('staleBadge') : undefined);
    const active = view?.layers.map((layer) => layer.active) ?? [];
    const next = JSON.stringify([newestFirst, run?.finished, active]);
    if (run === undefined || next === drawn) {
      return;
    }
    drawn = next;
    rows = resultRows(run);
    const columns = resultColumns();
    setText(title, text('planRunTitle', { time: runTime(run) }));
    results.update({
      label: text('planResults'),
      corner: text('planResultsCorner'),
      columnHeaders: columns,
      rowHeaders: rows.map(({ name }) => name),
      cell: (row, column) => rows[row]?.cells[column]?.text ?? '–',
      isChosen: () => false,
    });
    history.update({
      label: text('planHistory'),
      corner: text('evaluationRun'),
      columnHeaders: historyColumns(),
      rowHeaders: newestFirst.map(runTime),
      cell: (row, column) => {
        const each = newestFirst[row];
        return each === undefined ? '' : (historyCells(each, active)[column] ?? '');
      },
      isChosen: (row) => newestFirst[row]?.finished === run.finished,
    });
  }

  return {
    root: shell.root,
    update: (next) => {
      view = next;
      const { measurements, status, document } = next;
      newestFirst = [...measurements.evaluations].reverse();
      shell.root.hidden = measurements.state !== 'ready';
      const busy = status?.job === undefined ? undefined : text('busyReason');
      const unreadable = document.problem === undefined ? undefined : text('planProblemReason');
      const obstacle = unreadable ?? busy;
      evaluate.setEnabled(obstacle === undefined && measurements.canEvaluate, obstacle ?? text('planCannotEvaluate'));
      apply.setEnabled(obstacle === undefined, obstacle);
      render();
    },
    dispose: () => {
      measured.replaceChildren();
    },
  };
}
