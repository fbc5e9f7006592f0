import { ChartFigure } from '../charts/chartFigure';
import { FrontChart } from '../charts/frontChart';
import { createLegend } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatDecimals, formatSigned } from '../ui-kit/numbers';
import { planFrontData, planPointSentence, planPointsOf } from './planFrontModel';
import type { PlanPoint } from './planFrontModel';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';

const bytesPerMegabyte = 1e6;

/** Every measured plan that changes the size of the experts, as a point of size against quality. */
export function createPlanFrontSection(context: DashboardContext): DashboardPart {
  let points: readonly PlanPoint[] = [];
  let chart: FrontChart | undefined;
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
      chart = new FrontChart(canvas);
      return chart;
    },
  });
  const onTable = (shown: boolean): void => {
    figure.showTable(shown);
  };
  const exported = (): SectionData => ({
    ...figure.picture(),
    columns: ['plan', 'expertBytes', 'perplexityChangePercent', 'onFront'],
    rows: points.map(({ label, bytes, change, onFront }) => [label, bytes, change, onFront ? 1 : 0]),
  });
  const legend = createLegend([
    { shape: 'line', label: text('frontPlansLegend') },
    { shape: 'dot', label: text('otherPlansLegend') },
  ]);
  const legends = element('div', { className: 'legends' }, [legend]);
  const options = { name: 'plans', title: 'plansTitle', empty: 'plansEmpty', onTable, exported } as const;
  const shell = createSection(context, options, [figure.root, legends]);
  onTable(context.state.current.tables.includes('plans'));

  function render(): void {
    chart?.update(planFrontData(points));
    const best = points.filter(({ onFront }) => onFront).length;
    figure.update(text('plansSentence', { points: points.length, best }), {
      label: text('plansGrid'),
      corner: text('columnPlanName'),
      columnHeaders: [text('columnSize'), text('columnChangePercent')],
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
  return column === 0 ? formatDecimals(point.bytes / bytesPerMegabyte, 1) : formatSigned(point.change, 2);
}
