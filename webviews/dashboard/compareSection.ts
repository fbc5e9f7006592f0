import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { createScrollArea } from '../ui-kit/scrollArea';
import { compareModelOf } from './compareModel';
import type { CompareModel, CompareRow } from './compareModel';
import { evaluationRun, mergeRun, pruneRun, quantizeRun } from './historyRun';
import type { HistoryRun } from './historyRun';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';

/** Two or more finished runs side by side; differences stand out, the best value of a row is marked. */
export function createCompareSection(context: DashboardContext): DashboardPart {
  const { state } = context;
  let runs: readonly HistoryRun[] = [];
  let evaluated: readonly string[] = [];
  let model: CompareModel | undefined;
  const isNew = createChangeGate();
  const choices = element('fieldset', { className: 'compare-runs' });
  const tables = element('div', { className: 'evaluation-tables' });
  const exported = (): SectionData | undefined =>
    model && {
      columns: ['measure', ...model.runs],
      rows: model.rows.map(({ name, values }) => [name, ...values]),
    };
  const options = { name: 'compare', title: 'compareTitle', empty: 'compareEmpty', exported } as const;
  const shell = createSection(context, options, [choices, tables]);

  /** The runs the person chose; the two newest evaluations, else the two newest runs, where none of them is still there. */
  function chosen(): readonly HistoryRun[] {
    const wanted = runs.filter(({ finished }) => state.current.compared.includes(finished));
    if (wanted.length > 0) {
      return wanted;
    }
    const newest = evaluated.slice(-2);
    return newest.length > 1 ? runs.filter(({ finished }) => newest.includes(finished)) : runs.slice(-2);
  }

  function render(): void {
    const selected = chosen();
    choices.replaceChildren(
      element('legend', { text: text('compareRuns') }),
      ...[...runs].reverse().map((run) => createChoice(run, selected.includes(run), (on) => choose(run, on))),
    );
    renderTable(selected);
  }

  function choose(run: HistoryRun, on: boolean): void {
    const others = chosen().filter(({ finished }) => finished !== run.finished);
    state.change({ compared: [...others, ...(on ? [run] : [])].map(({ finished }) => finished) });
    renderTable(chosen());
  }

  function renderTable(selected: readonly HistoryRun[]): void {
    model = selected.length < 2 ? undefined : compareModelOf(selected);
    tables.replaceChildren(
      model === undefined
        ? element('p', { className: 'note', text: text('comparePick') })
        : createScrollArea(text('compareTitle'), createTable(model)),
    );
    shell.setNote(model === undefined ? '' : text('compareNote'));
  }

  return {
    root: shell.root,
    update: (snapshot) => {
      const { evaluations, pruneRuns, mergeRuns, quantizations, stale } = snapshot;
      if (!isNew([evaluations, pruneRuns, mergeRuns, quantizations, stale])) {
        return;
      }
      runs = historyOf(snapshot);
      evaluated = evaluations.map(({ finished }) => finished);
      shell.setFilled(runs.length > 1, stale);
      if (runs.length > 1) {
        render();
      }
    },
    dispose: () => {
      tables.replaceChildren();
    },
  };
}

/** All finished runs that can be compared, oldest first. */
function historyOf({
  evaluations,
  pruneRuns = [],
  mergeRuns = [],
  quantizations = [],
}: DashboardSnapshot): HistoryRun[] {
  const runs = [
    ...evaluations.map(evaluationRun),
    ...pruneRuns.map(pruneRun),
    ...mergeRuns.map(mergeRun),
    // Runs of versions that wrote no time cannot be told apart.
    ...quantizations.flatMap(({ finished, ...run }) =>
      finished === undefined ? [] : [quantizeRun({ ...run, finished })],
    ),
  ];
  return runs.sort((one, other) => one.finished.localeCompare(other.finished));
}

function createChoice(run: HistoryRun, checked: boolean, onChange: (on: boolean) => void): HTMLElement {
  const box = element('input', { attributes: { type: 'checkbox' } });
  box.checked = checked;
  box.addEventListener('change', () => {
    onChange(box.checked);
  });
  return element('label', { className: 'compare-run' }, [box, document.createTextNode(run.label)]);
}

function createTable({ runs, rows }: CompareModel): HTMLElement {
  const headings = [text('compareMetric'), ...runs].map((heading) =>
    element('th', { text: heading, attributes: { scope: 'col' } }),
  );
  return element('table', { className: 'evaluation-table compare-table' }, [
    element('caption', { text: text('compareTitle'), className: 'visually-hidden' }),
    element('thead', {}, [element('tr', {}, headings)]),
    element('tbody', {}, rows.map(createRow)),
  ]);
}

function createRow({ name, cells, best, differs }: CompareRow): HTMLElement {
  const values = cells.map((cell, at) =>
    best.includes(at)
      ? element('td', { className: 'best', text: cell }, [
          element('span', { className: 'visually-hidden', text: ` (${text('compareBest')})` }),
        ])
      : element('td', { text: cell }),
  );
  const heading = element('th', { text: name, attributes: { scope: 'row' } });
  return element('tr', { className: differs ? 'differs' : 'same' }, [heading, ...values]);
}
