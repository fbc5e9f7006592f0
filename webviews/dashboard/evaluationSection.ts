import type { EvaluateResult } from '../../engine/protocol/evaluation';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatDecimals } from '../ui-kit/numbers';
import { createScrollArea } from '../ui-kit/scrollArea';
import { createDropdown } from '../ui-kit/toolkit';
import { averageExperts, evaluationGroups, runLabel } from './evaluationModel';
import type { EvaluationGroup, EvaluationRow } from './evaluationModel';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';

/** The measured quality of one run, against the unchanged model where the run compared. */
export function createEvaluationSection(context: DashboardContext): DashboardPart {
  const { state } = context;
  let runs: readonly EvaluateResult[] = [];
  let outdated = false;
  const isNew = createChangeGate();
  const tables = element('div', { className: 'evaluation-tables' });
  const chooser = createDropdown(text('evaluationRun'), (finished) => {
    if (finished !== shownRun()?.finished) {
      state.change({ evaluation: finished });
      render();
    }
  });
  const exported = (): SectionData | undefined => {
    const run = shownRun();
    return run && evaluationTable(run);
  };
  const options = { name: 'evaluation', title: 'evaluationTitle', empty: 'evaluationEmpty', exported } as const;
  const shell = createSection(context, options, [chooser.root, tables]);

  /** The run the person chose, else the newest that changed the model, else the newest. */
  function shownRun(): EvaluateResult | undefined {
    const chosen = runs.find(({ finished }) => finished === state.current.evaluation);
    return chosen ?? runs.findLast(({ baseline }) => !baseline) ?? runs.at(-1);
  }

  function render(): void {
    const run = shownRun();
    shell.setFilled(run !== undefined, outdated);
    if (run === undefined) {
      return;
    }
    chooser.root.hidden = runs.length < 2;
    const newestFirst = [...runs].reverse().map((one) => ({ value: one.finished, label: runLabel(one) }));
    chooser.update(newestFirst, run.finished);
    tables.replaceChildren(...evaluationGroups(run).map(createGroupTable));
    const seconds = text('seconds', { seconds: formatDecimals(run.seconds, 1) });
    const average = formatDecimals(averageExperts(run), 2);
    shell.setNote(text('evaluationNote', { average, seconds, provider: run.provider }));
  }

  return {
    root: shell.root,
    update: ({ evaluations, stale }) => {
      if (isNew([evaluations, stale])) {
        runs = evaluations;
        outdated = stale;
        render();
      }
    },
    dispose: () => {
      tables.replaceChildren();
    },
  };
}

function createGroupTable(group: EvaluationGroup): HTMLElement {
  const headings = group.headings.map((heading) => element('th', { text: heading, attributes: { scope: 'col' } }));
  const table = element('table', { className: 'evaluation-table' }, [
    element('caption', { text: group.title }),
    element('thead', {}, [element('tr', {}, headings)]),
    element('tbody', {}, group.rows.map(createRow)),
  ]);
  return createScrollArea(group.title, table);
}

function createRow(row: EvaluationRow): HTMLElement {
  const cells = row.cells.map((cell, at) => {
    const difference = row.trend !== 'none' && at === row.cells.length - 1;
    return element('td', { text: cell, className: difference ? `trend-${row.trend}` : '' });
  });
  const name = element('th', { text: row.name, attributes: { scope: 'row' } });
  return element('tr', { className: row.summary ? 'summary' : '' }, [name, ...cells]);
}

/** One row per dataset and task. */
function evaluationTable(run: EvaluateResult): SectionData {
  const datasets = Object.entries(run.datasets).map(([name, set]) => [
    'dataset',
    name,
    set.baselinePerplexity ?? null,
    set.perplexity,
    set.kl ?? null,
    set.top1Agreement ?? null,
  ]);
  const tasks = Object.entries(run.tasks).map(([name, accuracy]) => [
    'task',
    name,
    run.baselineTasks?.[name] ?? null,
    accuracy,
    null,
    null,
  ]);
  return { columns: ['kind', 'name', 'baseline', 'value', 'kl', 'top1Agreement'], rows: [...datasets, ...tasks] };
}
