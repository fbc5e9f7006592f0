import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import type { ProfileResult } from '../../engine/protocol/sensitivity';
import { ChartFigure } from '../charts/chartFigure';
import { HeatMapChart } from '../charts/heatMapChart';
import type { HeatMapData } from '../charts/heatMapValues';
import { createColourLegend, createLegend } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatDecimals, formatInteger, formatMeasured, formatShare } from '../ui-kit/numbers';
import { createDropdown } from '../ui-kit/toolkit';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';
import { cellSentence, cellText, heatMapOf, heatMapSentence } from './sensitivityModel';
import { measureNames } from './uiState';

/** The heat map of layers by numbers of active experts, with the chosen budget as a line through it. */
export function createSensitivitySection(context: DashboardContext): DashboardPart {
  const { state } = context;
  let snapshot: DashboardSnapshot | undefined;
  let map: HeatMapData | undefined;
  let chart: HeatMapChart | undefined;
  let restored = false;
  const isNew = createChangeGate();

  const figure = new ChartFigure({
    className: 'heat-map',
    mode: 'cells',
    hint: text('heatMapHint'),
    describe: ({ row, column }) => (map === undefined ? '' : cellSentence(map, row, column)),
    onMove: (cell) => {
      state.change({ cell });
    },
    createSurface: (canvas) => {
      chart = new HeatMapChart(canvas);
      return chart;
    },
  });
  const measure = createDropdown(text('measure'), (value) => {
    const name = measureNames.find((known) => known === value);
    if (name !== undefined && name !== state.current.measure) {
      state.change({ measure: name });
      render();
    }
  });
  const legend = createColourLegend();
  const chosenLegend = createLegend([{ shape: 'step', label: text('heatMapChosenLegend') }]);
  const legends = element('div', { className: 'legends' }, [legend.root, chosenLegend]);
  const showTable = (shown: boolean): void => {
    figure.showTable(shown);
  };
  const exported = (): SectionData | undefined => {
    const profile = snapshot?.profile;
    return profile && { ...figure.picture(), ...profileTable(profile) };
  };
  const body = [measure.root, figure.root, legends];
  const shell = createSection(
    context,
    { name: 'sensitivity', title: 'sensitivityTitle', empty: 'sensitivityEmpty', onTable: showTable, exported },
    body,
  );
  showTable(state.current.tables.includes('sensitivity'));

  function render(): void {
    const profile = snapshot?.profile;
    shell.setFilled(profile !== undefined, snapshot?.stale === true);
    if (profile === undefined || chart === undefined) {
      return;
    }
    measure.update(
      [
        { value: 'raw', label: text('measureRaw') },
        { value: 'relativeSquared', label: text('measureRelative') },
      ],
      state.current.measure,
    );
    map = heatMapOf(profile, snapshot?.budget, state.current.measure);
    chart.update(map);
    chosenLegend.hidden = map.chosen === undefined;
    shell.setNote(noteOf(profile));
    showNumbers(map, chart);
  }

  function showNumbers(shown: HeatMapData, drawn: HeatMapChart): void {
    const { range } = drawn;
    if (range === undefined) {
      return;
    }
    const middle = (range.minimum + range.maximum) / 2;
    legend.update(formatMeasured(range.minimum), formatMeasured(middle), formatMeasured(range.maximum));
    figure.update(heatMapSentence(shown, range), {
      label: text('heatMapGrid'),
      corner: text('layerAxis'),
      columnHeaders: shown.columnHeaders,
      rowHeaders: shown.rowHeaders,
      cell: (row, column) => cellText(shown, row, column),
      isChosen: (row, column) => shown.chosen?.[row] === column,
    });
    if (!restored) {
      restored = true;
      figure.setPosition(state.current.cell);
    }
  }

  return {
    root: shell.root,
    update: (next) => {
      snapshot = next;
      if (isNew([next.profile, next.budget, next.stale])) {
        render();
      }
    },
    dispose: () => {
      figure.dispose();
    },
  };
}

function noteOf(profile: ProfileResult): string {
  return text('profileNote', {
    samples: formatInteger(profile.samples),
    input: profile.input,
    variation: formatShare(profile.coefficientOfVariation, 2),
    seconds: text('seconds', { seconds: formatDecimals(profile.seconds, 1) }),
    provider: profile.provider,
  });
}

/** One row per layer and number of active experts. */
function profileTable({ layers }: ProfileResult): Pick<SectionData, 'columns' | 'rows'> {
  return {
    columns: ['layer', 'activeExperts', 'raw', 'relativeSquared', 'outputNorm'],
    rows: layers.flatMap(({ index, raw, relativeSquared, outputNorm }) =>
      raw.map((value, at) => [index, at + 1, value, relativeSquared[at] ?? null, outputNorm]),
    ),
  };
}
