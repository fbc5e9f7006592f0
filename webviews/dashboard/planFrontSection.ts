import { ChartFigure } from '../charts/chartFigure';
import { PlanScatter } from '../charts/planScatter';
import { createLegend } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatDecimals, formatSigned } from '../ui-kit/numbers';
import { kindNames, planFrontData, planPointSentence, planPointsOf, sameSizeSentences } from './planFrontModel';
import type { PlanPoint } from './planFrontModel';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';

const bytesPerMegabyte = 1e6;

/** The marks of the chart, as the legend draws them. */
const kindMarks = [
  { kind: 'unchanged', shape: 'ring' },
  { kind: 'prune', shape: 'warmTriangle' },
  { kind: 'merge', shape: 'square' },
  { kind: 'quantize', shape: 'coolDiamond' },
  { kind: 'several', shape: 'star' },
] as const;

/** Every measured plan that changes the size of the experts, as a point of size against quality. */
export function createPlanFrontSection(context: DashboardContext): DashboardPart {
  let points: readonly PlanPoint[] = [];
  let chart: PlanScatter | undefined;
  const isNew = createChangeGate();
  const figure = new ChartFigure({
    className: 'plan-front',
    mode: 'rows',
    hint: text('plansHint'),
    describe: ({ row }) => {
      const point = points[row];
      return point === undefined ? '' : planPointSentence(point);
    },
    createSurface: (canvas) => {
      chart = new PlanScatter(canvas);
      return chart;
    },
  });
  const onTable = (shown: boolean): void => {
    figure.showTable(shown);
  };
  const exported = (): SectionData => ({
    ...figure.picture(),
    columns: ['plan', 'kind', 'expertBytes', 'perplexityChangePercent', 'onFront'],
    rows: points.map(({ label, kind, bytes, change, onFront }) => [label, kind, bytes, change, onFront ? 1 : 0]),
  });
  const legends = element('div', { className: 'legends' });
  const comparison = element('div');
  const options = { name: 'plans', title: 'plansTitle', empty: 'plansEmpty', onTable, exported } as const;
  const shell = createSection(context, options, [figure.root, legends, comparison]);
  onTable(context.state.current.tables.includes('plans'));

  function render(): void {
    chart?.update(planFrontData(points));
    const shown = kindMarks.filter(({ kind }) => points.some((point) => point.kind === kind));
    legends.replaceChildren(
      createLegend([
        { shape: 'line', label: text('frontPlansLegend') },
        ...shown.map(({ kind, shape }) => ({ shape, label: text(kindNames[kind]) })),
      ]),
    );
    comparison.replaceChildren(
      ...sameSizeSentences(points).map((sentence) => element('p', { className: 'note', text: sentence })),
    );
    const best = points.filter(({ onFront }) => onFront).length;
    figure.update(text('plansSentence', { points: points.length, best }), {
      label: text('plansGrid'),
      corner: text('columnPlanName'),
      columnHeaders: [text('columnKind'), text('columnSize'), text('columnChangePercent')],
      rowHeaders: points.map(({ label }) => label),
      cell: (row, column) => cellOf(points[row], column),
      isChosen: (row) => points[row]?.onFront === true,
    });
    shell.setNote(text('plansNote'));
  }

  return {
    root: shell.root,
    update: ({ evaluations, stale }) => {
      if (!isNew([evaluations, stale])) {
        return;
      }
      points = planPointsOf(evaluations);
      shell.setFilled(points.length > 0, stale);
      if (points.length > 0) {
        render();
      }
    },
    dispose: () => {
      figure.dispose();
    },
  };
}

function cellOf(point: PlanPoint | undefined, column: number): string {
  if (point === undefined) {
    return '';
  }
  const cells = [
    text(kindNames[point.kind]),
    formatDecimals(point.bytes / bytesPerMegabyte, 1),
    formatSigned(point.change, 2),
  ];
  return cells[column] ?? '';
}
