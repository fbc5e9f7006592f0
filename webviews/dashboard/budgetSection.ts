import type { BudgetResult } from '../../engine/protocol/budget';
import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import { ChartFigure } from '../charts/chartFigure';
import { LayerBars } from '../charts/layerBars';
import { createLegend } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatDecimals, formatInteger, formatMeasured } from '../ui-kit/numbers';
import { evidenceModelOf } from './evidenceModel';
import { createEvidenceTable } from './evidenceTable';
import { createChangeGate, createSection } from './section';
import type { DashboardContext, DashboardPart, SectionData } from './section';

/** The chosen number of active experts of each layer. */
interface BudgetModel {
  readonly layers: readonly string[];
  readonly chosen: readonly number[];
  readonly trained: readonly number[];
  /** Output change at the chosen number, where the layer was profiled. */
  readonly change: readonly (number | undefined)[];
  readonly total: number;
  readonly average: number;
}

function budgetModelOf(budget: BudgetResult, { summary, profile }: DashboardSnapshot): BudgetModel {
  const trainedByLayer = new Map(summary?.layers.map(({ index, active }) => [index, active]));
  const profiled = new Map(profile?.layers.map((layer) => [layer.index, layer.raw]));
  const fallback = profile?.activeExperts ?? summary?.activeExperts ?? Math.max(...budget.activeExperts);
  return {
    layers: budget.layers.map(String),
    chosen: budget.activeExperts,
    trained: budget.layers.map((layer) => trainedByLayer.get(layer) ?? fallback),
    change: budget.layers.map((layer, at) => profiled.get(layer)?.[(budget.activeExperts[at] ?? 0) - 1]),
    total: budget.total,
    average: budget.total / Math.max(1, budget.layers.length),
  };
}

function sentenceOf(model: BudgetModel): string {
  const minimum = Math.min(...model.chosen);
  const maximum = Math.max(...model.chosen);
  return text('budgetSentence', {
    rows: model.layers.length,
    minimum,
    minimumLayer: model.layers[model.chosen.indexOf(minimum)] ?? '',
    maximum,
    maximumLayer: model.layers[model.chosen.indexOf(maximum)] ?? '',
    total: model.total,
    average: formatDecimals(model.average, 2),
  });
}

function cellOf(model: BudgetModel, row: number, column: number): string {
  const change = model.change[row];
  const cells = [
    formatInteger(model.chosen[row] ?? 0),
    formatInteger(model.trained[row] ?? 0),
    change === undefined ? '–' : formatMeasured(change),
  ];
  return cells[column] ?? '';
}

function noteOf(budget: BudgetResult): string {
  const { objective, solver, predicted, uniformPredicted } = budget;
  if (predicted === null || uniformPredicted === null) {
    return text('budgetNoteShort', { objective, solver, total: budget.total });
  }
  const values = { predicted: formatMeasured(predicted, 4), uniform: formatMeasured(uniformPredicted, 4) };
  return text('budgetNote', { objective, solver, ...values });
}

function budgetTable(model: BudgetModel): Pick<SectionData, 'columns' | 'rows'> {
  return {
    columns: ['layer', 'activeExperts', 'trained', 'outputChange'],
    rows: model.layers.map((layer, at) => [
      Number(layer),
      model.chosen[at] ?? null,
      model.trained[at] ?? null,
      model.change[at] ?? null,
    ]),
  };
}

/** Bars of the active experts chosen per layer, with the average as a line. */
export function createBudgetSection(context: DashboardContext): DashboardPart {
  const { state } = context;
  let model: BudgetModel | undefined;
  let chart: LayerBars | undefined;
  let restored = false;
  const isNew = createChangeGate();
  const figure = new ChartFigure({
    className: 'layer-bars',
    mode: 'rows',
    hint: text('budgetHint'),
    describe: ({ row }) =>
      model === undefined
        ? ''
        : text('budgetCell', {
            layer: model.layers[row] ?? '',
            chosen: model.chosen[row] ?? 0,
            trained: model.trained[row] ?? 0,
          }),
    onMove: ({ row }) => {
      state.change({ budgetRow: row });
    },
    createSurface: (canvas) => {
      chart = new LayerBars(canvas);
      return chart;
    },
  });
  const legends = element('div', { className: 'legends' });
  const showTable = (shown: boolean): void => {
    figure.showTable(shown);
  };
  const exported = (): SectionData | undefined => model && { ...figure.picture(), ...budgetTable(model) };
  const options = { name: 'budget', title: 'budgetTitle', empty: 'budgetEmpty', onTable: showTable, exported } as const;
  const evidence = element('div');
  const notes = element('div');
  const shell = createSection(context, options, [figure.root, legends, notes, evidence]);
  showTable(state.current.tables.includes('budget'));

  function show(shown: BudgetModel): void {
    chart?.update({
      labels: shown.layers,
      values: shown.chosen,
      maximum: Math.max(...shown.trained, ...shown.chosen),
      average: shown.average,
      layerTitle: text('layerAxis'),
    });
    legends.replaceChildren(
      createLegend([
        { shape: 'bar', label: text('chosenLegend') },
        { shape: 'dashes', label: text('averageLegend', { average: formatDecimals(shown.average, 2) }) },
      ]),
    );
    figure.update(sentenceOf(shown), {
      label: text('budgetGrid'),
      corner: text('layerAxis'),
      columnHeaders: [text('columnChosen'), text('columnTrained'), text('columnChange')],
      rowHeaders: shown.layers,
      cell: (row, column) => cellOf(shown, row, column),
      isChosen: () => false,
    });
    if (!restored) {
      restored = true;
      figure.setPosition({ row: state.current.budgetRow, column: 0 });
    }
  }

  return {
    root: shell.root,
    update: (snapshot) => {
      const { budget, profile, summary, stale, measuredBudgets = [] } = snapshot;
      if (!isNew([budget, profile, summary?.layers, stale, measuredBudgets])) {
        return;
      }
      shell.setFilled(budget !== undefined, stale);
      if (budget !== undefined) {
        model = budgetModelOf(budget, snapshot);
        shell.setNote(noteOf(budget));
        show(model);
        const evidenceModel = evidenceModelOf(budget, measuredBudgets);
        evidence.replaceChildren(...(evidenceModel === undefined ? [] : [createEvidenceTable(evidenceModel)]));
        notes.replaceChildren(
          ...(budget.notes ?? []).map((note) =>
            element('p', { className: 'note', text: text('budgetRunNote', { note }) }),
          ),
        );
      }
    },
    dispose: () => {
      figure.dispose();
    },
  };
}
