import type { BudgetResult } from '../../engine/protocol/budget';
import { ChartFigure } from '../charts/chartFigure';
import { FrontChart } from '../charts/frontChart';
import { createLegend } from '../charts/legend';
import type { LegendEntry } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import type { GridPosition } from '../ui-kit/gridCursor';
import { formatDecimals } from '../ui-kit/numbers';
import {
  drawnDivergences,
  frontCells,
  frontChartData,
  frontColumns,
  frontModelOf,
  frontSentenceOf,
  frontSummary,
} from './frontModel';
import type { FrontModel } from './frontModel';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';

/** The best allocation for every cost; taking a point makes it the plan. */
export function createFrontSection(context: DashboardContext): DashboardPart {
  const { state, post } = context;
  let model: FrontModel | undefined;
  let chart: FrontChart | undefined;
  const isNew = createChangeGate();
  const totalAt = ({ row }: GridPosition): number | undefined => model?.rows[row]?.total;
  const figure = new ChartFigure({
    className: 'front',
    mode: 'rows',
    hint: text('frontHint'),
    describe: ({ row }) => (model === undefined ? '' : frontSentenceOf(model, row)),
    onMove: (position) => {
      const frontTotal = totalAt(position);
      if (frontTotal !== undefined) {
        state.change({ frontTotal });
      }
    },
    onActivate: (position) => {
      const total = totalAt(position);
      if (total !== undefined) {
        post({ kind: 'pickBudget', total });
      }
    },
    createSurface: (canvas) => {
      chart = new FrontChart(canvas);
      return chart;
    },
  });
  const legends = element('div', { className: 'legends' });
  const showTable = (shown: boolean): void => {
    figure.showTable(shown);
  };
  const exported = (): SectionData | undefined =>
    model && {
      ...figure.picture(),
      columns: ['total', 'average', 'predicted', 'measured', 'measuredKl'],
      rows: model.rows.map(({ total, average, predicted, measured, kl }) => [
        total,
        average,
        predicted,
        measured ?? null,
        kl ?? null,
      ]),
    };
  const options = { name: 'front', title: 'frontTitle', empty: 'frontEmpty', onTable: showTable, exported } as const;
  const shell = createSection(context, options, [figure.root, legends]);
  showTable(state.current.tables.includes('front'));

  function show(shown: FrontModel, budget: BudgetResult): void {
    chart?.update(frontChartData(shown));
    legends.replaceChildren(createLegend(legendOf(shown)));
    const average = budget.total / Math.max(1, budget.layers.length);
    figure.update(frontSummary(shown, average), {
      label: text('frontGrid'),
      corner: text('columnAverage'),
      columnHeaders: frontColumns(shown),
      rowHeaders: shown.rows.map((row) => formatDecimals(row.average, 2)),
      cell: (row, column) => {
        const point = shown.rows[row];
        return point === undefined ? '' : (frontCells(point, shown)[column] ?? '');
      },
      isChosen: (row) => row === shown.chosen,
    });
    const wanted = state.current.frontTotal ?? budget.total;
    const row = shown.rows.findIndex(({ total }) => total === wanted);
    figure.setPosition({ row: Math.max(0, row), column: 0 });
  }

  return {
    root: shell.root,
    update: ({ budget, evaluations, measuredBudgets = [], stale }) => {
      if (!isNew([budget, evaluations, measuredBudgets, stale])) {
        return;
      }
      const filled = budget !== undefined && budget.front.length > 0;
      shell.setFilled(filled, stale);
      if (filled) {
        model = frontModelOf(budget, evaluations, measuredBudgets);
        shell.setNote(text('frontPick'));
        show(model, budget);
      }
    },
    dispose: () => {
      figure.dispose();
    },
  };
}

const divergenceLegends = [
  { kind: 'taken', shape: 'square', label: 'takenLegend' },
  { kind: 'candidate', shape: 'dot', label: 'candidateLegend' },
  { kind: 'control', shape: 'cross', label: 'controlLegend' },
] as const;

function legendOf(model: FrontModel): readonly LegendEntry[] {
  const entries: LegendEntry[] = [{ shape: 'line', label: text('frontLegend') }];
  if (model.plan !== undefined) {
    entries.push({ shape: 'ring', label: text('planLegend') });
  }
  if (model.control !== undefined) {
    entries.push({ shape: 'triangle', label: text('uniformLegend') });
  }
  const divergences = drawnDivergences(model);
  for (const { kind, shape, label } of divergenceLegends) {
    if (divergences.some((mark) => mark.kind === kind)) {
      entries.push({ shape, label: text(label) });
    }
  }
  if (model.measured.length > 0) {
    entries.push({ shape: 'diamond', label: text(divergences.length === 0 ? 'measuredLegend' : 'evaluationLegend') });
  }
  return entries;
}
