import type { CalibrateResult } from '../../engine/protocol/calibration';
import { ChartFigure } from '../charts/chartFigure';
import { HeatMapChart } from '../charts/heatMapChart';
import type { HeatMapData } from '../charts/heatMapValues';
import { createColourLegend } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatDecimals, formatInteger, formatMeasured } from '../ui-kit/numbers';
import { createDropdown } from '../ui-kit/toolkit';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';
import { utilisationCell, utilisationMap, utilisationSentence, utilisationViewOf } from './utilisationModel';
import type { UtilisationView } from './utilisationModel';

/** Which experts the router chooses on real text, over all layers, and which go together in one of them. */
export function createUtilisationSection(context: DashboardContext): DashboardPart {
  const { state } = context;
  let calibration: CalibrateResult | undefined;
  let view: UtilisationView = { kind: 'layers' };
  let map: HeatMapData | undefined;
  let chart: HeatMapChart | undefined;
  const isNew = createChangeGate();
  const describe = (row: number, column: number): string =>
    calibration === undefined || map === undefined ? '' : utilisationCell(calibration, view, map, row, column);
  const figure = new ChartFigure({
    className: 'utilisation-map',
    mode: 'cells',
    hint: text('utilisationHint'),
    describe: ({ row, column }) => describe(row, column),
    createSurface: (canvas) => {
      chart = new HeatMapChart(canvas);
      return chart;
    },
  });
  const views = createDropdown(text('utilisationView'), (name) => {
    if (name !== state.current.utilisation) {
      state.change({ utilisation: name });
      render();
    }
  });
  const legend = createColourLegend();
  const coverage = element('p', { className: 'note' });
  const exported = (): SectionData | undefined => calibration && { ...figure.picture(), ...countsTable(calibration) };
  const onTable = (shown: boolean): void => {
    figure.showTable(shown);
  };
  const options = {
    name: 'utilisation',
    title: 'utilisationTitle',
    empty: 'utilisationEmpty',
    onTable,
    exported,
  } as const;
  const legends = element('div', { className: 'legends' }, [legend.root]);
  const shell = createSection(context, options, [views.root, figure.root, legends, coverage]);
  onTable(state.current.tables.includes('utilisation'));

  function render(): void {
    if (calibration === undefined || chart === undefined) {
      return;
    }
    view = utilisationViewOf(calibration, state.current.utilisation);
    views.update(
      [
        { value: 'all', label: text('utilisationAll') },
        ...calibration.layers.map(({ index }) => ({
          value: String(index),
          label: text('utilisationLayer', { layer: index }),
        })),
      ],
      view.kind === 'layers' ? 'all' : String(view.layer.index),
    );
    map = utilisationMap(calibration, view);
    chart.update(map);
    const { range } = chart;
    if (range !== undefined) {
      const middle = (range.minimum + range.maximum) / 2;
      legend.update(formatMeasured(range.minimum), formatMeasured(middle), formatMeasured(range.maximum));
      showNumbers(map, utilisationSentence(view, map, range));
    }
    coverage.textContent = coverageSentence(calibration);
    shell.setNote(noteOf(calibration));
  }

  function showNumbers(shown: HeatMapData, sentence: string): void {
    figure.update(sentence, {
      label: text(view.kind === 'layers' ? 'loadGrid' : 'pairGrid'),
      corner: shown.rowTitle,
      columnHeaders: shown.columnHeaders,
      rowHeaders: shown.rowHeaders,
      cell: (row, column) => {
        const value = shown.values[row * shown.columns + column] ?? NaN;
        return Number.isNaN(value) ? '–' : formatMeasured(value);
      },
      isChosen: () => false,
    });
  }

  return {
    root: shell.root,
    update: (snapshot) => {
      if (!isNew([snapshot.calibration, snapshot.stale])) {
        return;
      }
      calibration = snapshot.calibration;
      shell.setFilled(calibration !== undefined, snapshot.stale);
      render();
    },
    dispose: () => {
      figure.dispose();
    },
  };
}

function coverageSentence({ layers }: CalibrateResult): string {
  const experts = layers.reduce((sum, layer) => sum + layer.experts, 0);
  const rare = layers.reduce((sum, layer) => sum + layer.coverage.belowShare.length, 0);
  return rare === 0 ? text('coverageFull') : text('coverageRare', { rare, experts });
}

function noteOf({ tokens, seconds, provider }: CalibrateResult): string {
  return text('utilisationNote', {
    tokens: formatInteger(tokens),
    seconds: text('seconds', { seconds: formatDecimals(seconds, 1) }),
    provider,
  });
}

/** One row per expert. */
function countsTable({ layers }: CalibrateResult): Pick<SectionData, 'columns' | 'rows'> {
  return {
    columns: ['layer', 'expert', 'tokens', 'covered'],
    rows: layers.flatMap(({ index, counts, coverage }) =>
      counts.map((count, expert) => [index, expert, count, coverage.belowShare.includes(expert) ? 0 : 1]),
    ),
  };
}
